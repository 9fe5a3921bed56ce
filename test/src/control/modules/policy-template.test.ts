// The folder that `sapwood policy new` writes: it builds as it is, and nothing is written where something is.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writePolicyTemplate } from "../../../../src/control/modules/policy-template.ts";
import { checkPolicy, instantiatePolicy } from "../../../../src/dataplane/modules/policy-module.ts";
import { LoadedPolicy } from "../../../support/policies.ts";
import { text } from "../../../support/source-files.ts";

const TOOLS = fileURLToPath(new URL("../../../node_modules/.bin", import.meta.url));

let parent: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "sapwood-template-"));
});

afterEach(() => rmSync(parent, { recursive: true }));

test("it builds with its own script, and what it makes is a policy that turns", async () => {
  const folder = join(parent, "deep/down");
  const files = writePolicyTemplate("my-own", folder);
  const { status, stderr } = spawnSync("npm", ["run", "build"], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, PATH: `${TOOLS}:${process.env["PATH"]}` },
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(files).toContain("my-own.ts");
  const module = new WebAssembly.Module(readFileSync(join(folder, "my-own.wasm")));
  checkPolicy(module, "my-own");
  const policy = new LoadedPolicy(instantiatePolicy(module, "my-own"));
  policy.set(1, [{ instance: 4 }, { instance: 5, isDraining: true }, { instance: 6 }]);
  expect(policy.chooseMany(1, 4)).toEqual([4, 6, 4, 6]);
});

test("its own test builds it and tries it with the sapwood that wrote it, and fails when the policy does", () => {
  writePolicyTemplate("my-own", parent);
  const run = () =>
    spawnSync("npm", ["test"], {
      cwd: parent,
      encoding: "utf8",
      env: { ...process.env, PATH: `${TOOLS}:${process.env["PATH"]}` },
    });
  const good = run();
  expect({ status: good.status, stderr: good.stderr }).toEqual({ status: 0, stderr: "" });
  expect(good.stdout).toContain("no violations");
  const source = readFileSync(join(parent, "my-own.ts"), "utf8");
  writeFileSync(
    join(parent, "my-own.ts"),
    source.replace("return known == null", "unreachable(); return known == null"),
  );
  const bad = run();
  expect(bad.status).not.toBe(0);
  expect(bad.stdout).toMatch(/violation, trap .*: choose: unreachable, in my-own\/choose \(function \d+\) at byte 0x/);
});

test("its files bear the policy's name, and no other text of the template's is left", () => {
  const files = writePolicyTemplate("cheapest-2", parent);
  const all = readdirSync(parent, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(all.map((entry) => join(entry.parentPath, entry.name)).sort()).toEqual(
    files.map((file) => join(parent, file)).sort(),
  );
  expect(files.filter((file) => readFileSync(join(parent, file), "utf8").includes("my-policy"))).toEqual([]);
  expect(JSON.parse(readFileSync(join(parent, "package.json"), "utf8"))).toMatchObject({ name: "cheapest-2" });
});

test("it needs no other package than the compiler, in the version that builds the policies of the package", () => {
  writePolicyTemplate("my-own", parent);
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(parent, "package.json"), "utf8"));
  const { assemblyscript } = JSON.parse(text("package.json")).devDependencies;
  expect({ dependencies, devDependencies }).toEqual({ dependencies: undefined, devDependencies: { assemblyscript } });
});

test.each([
  "",
  "My",
  "9lives",
  "a_b",
  "../up",
  "a b",
  "a/b",
  `a${"b".repeat(63)}`,
  "RR",
  "instance_ip",
  "É",
  "a\u200bb",
])("%j is no name", (name) => {
  expect(() => writePolicyTemplate(name, join(parent, "x"))).toThrowError(
    expect.objectContaining({ code: "usage", message: expect.stringContaining(`found "${name}"`) }),
  );
  expect(readdirSync(parent)).toEqual([]);
});

test("a folder with anything in it stays as it is", () => {
  const folder = join(parent, "full");
  mkdirSync(folder);
  writeFileSync(join(folder, ".hidden"), "mine");
  expect(() => writePolicyTemplate("my-own", folder)).toThrowError(
    expect.objectContaining({ code: "usage", message: `A policy needs an empty folder; found .hidden in ${folder}.` }),
  );
  expect(readdirSync(folder)).toEqual([".hidden"]);
});

test("a path that is a file is refused by a sentence", () => {
  const file = join(parent, "file");
  writeFileSync(file, "mine");
  expect(() => writePolicyTemplate("my-own", file)).toThrow(/cannot be one \(EEXIST\)/);
  expect(() => writePolicyTemplate("my-own", join(file, "below"))).toThrow(/cannot be one \(ENOTDIR\)/);
});
