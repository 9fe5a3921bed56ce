// What `npm pack` makes is a whole program: it installs globally and runs without a compiler and without the
// packages that only building and testing need.
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { text } from "../support/source-files.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CONFIG = `
node: { id: node-a, underlay: { address: 192.0.2.1 } }
nodes:
  - { id: node-b, underlay: { address: 192.0.2.2, port: 50103 } }
services: []
`;

const manifest: { version: string; man: string[]; devDependencies: Record<string, string> } = JSON.parse(
  text("package.json"),
);
const run = promisify(execFile);

let folder: string;
let packed: string[];
let installed: string;
let sapwood: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sapwood-package-"));
  // Without scripts: dist/ is built already, and other tests are using it.
  const { stdout } = await run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], {
    cwd: ROOT,
  });
  const [tarball]: { filename: string; files: { path: string }[] }[] = JSON.parse(stdout);
  if (tarball === undefined) throw new Error("npm pack made nothing");
  packed = tarball.files.map((file) => file.path);
  const prefix = join(folder, "prefix");
  const options = ["--global", "--prefix", prefix, "--omit=dev", "--prefer-offline", "--no-progress"];
  await run("npm", ["install", ...options, join(folder, tarball.filename)], { cwd: folder });
  installed = join(prefix, "lib/node_modules/sapwood");
  sapwood = join(prefix, "bin/sapwood");
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("it holds the compiled program, its modules and its documentation", () => {
  const needed = [
    "dist/src/main.js",
    "dist/program/start.js",
    "dist/assembly/shared/layout/version.js",
    "dist/wasm/engine.wasm",
    "dist/wasm/adoption.wasm",
    "dist/page/index.html",
    "README.md",
    "LICENSE",
    ...manifest.man,
  ];
  expect(packed).toEqual(expect.arrayContaining([...needed, "dist/wasm/policies/round-robin.wasm"]));
});

test("it holds no sources but the policy SDK, no tests and no benches", () => {
  const ours = [
    /^(?:dist\/(?:src|program|assembly|wasm|page|man\/man1)|template\/policy|docs|contrib|bench\/results)\//,
    /^(?:scripts\/(?:build\.mjs|require-node\.cjs)|(?:README|SECURITY|CHANGELOG|CONTRIBUTING|bench\/README)\.md|LICENSE|package\.json)$/,
  ];
  const sdk = ["assembly/policy/sdk.ts", "assembly/shared/policies.ts"]; // copied into the folder of a new policy
  const others = packed.filter((path) => !ours.some((one) => one.test(path)) || path.endsWith("workbench.wasm"));
  expect(others.sort()).toEqual(sdk);
});

test("it brings no compiler along", async () => {
  const names = await readdir(join(installed, "node_modules"));
  expect(names.filter((name) => Object.hasOwn(manifest.devDependencies, name))).toEqual([]);
});

test("man finds its pages", async () => {
  const pages = await readdir(join(folder, "prefix/share/man/man1"));
  expect(pages.sort()).toEqual(manifest.man.map((path) => basename(path)).sort());
  const page = await readFile(join(folder, "prefix/share/man/man1/sapwood-run.1"), "utf8");
  expect(page).toContain(`"sapwood ${manifest.version}"`);
});

test("the command says its version", async () => {
  expect((await run(sapwood, ["--version"], { cwd: folder })).stdout.trim()).toBe(manifest.version);
});

test("the command accepts a good configuration and refuses a bad one", async () => {
  const good = join(folder, "good.yaml");
  const bad = join(folder, "bad.yaml");
  await writeFile(good, CONFIG);
  await writeFile(bad, CONFIG.replace("50103", "many"));
  await expect(run(sapwood, ["check", good], { cwd: folder })).resolves.toBeDefined();
  await expect(run(sapwood, ["check", bad], { cwd: folder })).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("port"),
  });
});

test("npm start finds nothing to build in it", async () => {
  const build = join(installed, "scripts/build.mjs");
  expect(await run(process.execPath, [build, "--if-needed"], { cwd: installed })).toEqual({ stdout: "", stderr: "" });
});

test("a new policy builds with npm alone, and its module passes its own test", async () => {
  const policy = join(folder, "my-policy");
  await run(sapwood, ["policy", "new", "my-policy"], { cwd: folder });
  await run("npm", ["install", "--prefer-offline", "--no-progress", "--no-audit", "--no-fund"], { cwd: policy });
  await run("npm", ["run", "build"], { cwd: policy });
  const env = { ...process.env, PATH: `${join(folder, "prefix/bin")}:${process.env["PATH"]}` };
  const { stdout } = await run("npm", ["test", "--", "--time-limit", "5000"], { cwd: policy, env });
  expect(stdout).toContain("no violations");
});
