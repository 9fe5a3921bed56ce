// A share of `npm run soak`, which takes hours as well: everything happens to a lab at once, and nothing is lost.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { builtFile } from "../../src/lab/build-paths.ts";
import { describeLab } from "../support/lab.ts";
import { testSeed } from "../support/random.ts";

const MINUTES = 0.5;

describeLab("a soak of half a minute", () => {
  test("loses nothing and leaks nothing", async () => {
    const seed = testSeed(3);
    const args = [builtFile("bench/soak/main.js"), "--minutes", String(MINUTES), "--seed", String(seed)];
    const { stdout } = await promisify(execFile)(process.execPath, args); // rejects with what it said when it fails
    process.stdout.write(stdout);
    expect(stdout).toMatch(/^[1-9]\d* changes/m);
    expect(stdout).toContain(" 0 lost, 0 led elsewhere");
    expect(stdout).toContain("leaked descriptors: 0\n");
  }, 600_000);
});
