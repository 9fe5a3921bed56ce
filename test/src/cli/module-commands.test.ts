// The commands about policies and the engine, against a control socket with constants behind it.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { DRY_RUN } from "../../support/sample-reports.ts";
import { cells, sapwood, useFakeProxy } from "./support/fake-proxy.ts";

const proxy = useFakeProxy();

describe("modules", () => {
  let file: string;

  beforeEach(() => {
    file = join(proxy.folder, "closest.wasm");
    writeFileSync(file, "wasm");
  });

  test("policy list has a line per policy, with its state and its last error", async () => {
    const { out } = await sapwood(["policy", "list", "-s", proxy.socket]);
    expect(cells(out).slice(1)).toEqual([
      ["closest", "faulty", "0123456789ab", "/srv/closest.wasm", "1", "640", "0.46 µs", "choose answered 7"],
      ["mine", "no module", "-", "-", "1", "0", "-", "-"],
    ]);
  });

  test("policy show tells the swap, the faults and the share of each instance", async () => {
    const { out } = await sapwood(["policy", "show", "closest", "-s", proxy.socket]);
    expect(out).toContain("all workers within 2.35 ms, each paused for at most 0.68 ms");
    expect(out).toContain("3 outOfRange");
    expect(cells(out).slice(-2)).toEqual([
      ["b", "fdff:1000::1", "0 on node-c", "1", "25.0 %"],
      ["b", "fdff:1000::1", "1 on node-d", "3", "75.0 %"],
    ]);
  });

  test("policy load hands the file over and names it", async () => {
    const { exit } = await sapwood(["policy", "load", "closest", file, "-s", proxy.socket]);
    expect(exit).toBe(0);
    expect(proxy.source.modules).toEqual([`load closest wasm from ${file}`]);
  });

  test("policy load --dry-run only tries it, and shows the flows now and after", async () => {
    const { out } = await sapwood(["policy", "load", "closest", file, "--dry-run", "-s", proxy.socket]);
    expect(proxy.source.modules).toEqual(["try closest wasm"]);
    expect(out).toContain("0123456789ab may be loaded; 10000 new flows to each address would go to");
    expect(cells(out).slice(-3)).toEqual([
      ["b", "fdff:1000::1", "0 on node-c", "10000", "4000"],
      ["b", "fdff:1000::1", "1 on node-d", "0", "5990"],
      ["b", "fdff:1000::1", "the engine's choice", "0", "10"],
    ]);
    const { out: json } = await sapwood(["policy", "load", "closest", file, "--dry-run", "--json", "-s", proxy.socket]);
    expect(JSON.parse(json)).toEqual(DRY_RUN);
  });

  test("engine load hands the file over and prints the engine", async () => {
    const { exit, out } = await sapwood(["engine", "load", file, "-s", proxy.socket]);
    expect(exit).toBe(0);
    expect(out).toContain("4321 bytes, built-in, loaded 2026-01-02T03:04:05.000Z");
    expect(proxy.source.modules).toEqual([`load engine wasm from ${file}`]);
  });

  test.each([
    ["a file that is not there", "missing.wasm", undefined],
    ["a file of more than 8 MiB", "large.wasm", 8 * 2 ** 20 + 1],
  ])("%s is refused before anybody is asked", async (_what, name, sizeBytes) => {
    const path = join(proxy.folder, name);
    if (sizeBytes !== undefined) writeFileSync(path, new Uint8Array(sizeBytes));
    const { exit, error } = await sapwood(["policy", "load", "closest", path, "-s", proxy.socket]);
    expect(exit).toBe(1);
    expect(error).toContain(path);
    expect(proxy.source.modules).toEqual([]);
  });
});
