// `sapwood policy test` as a process: what it prints, its exit status, and that no module makes it hang.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builtModulePath } from "../../../src/dataplane/modules/wasm.ts";
import { assemble, policyText } from "../../support/wat.ts";

const MAIN = fileURLToPath(new URL("../../../dist/src/main.js", import.meta.url));
/** A limit that a busy machine does not reach by itself. */
const PATIENT = ["--time-limit", "5000"];

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-trial-"));
});

afterAll(() => rmSync(folder, { recursive: true }));

function policyTest(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "policy", "test", ...args], {
    encoding: "utf8",
    timeout: 120_000,
  });
  return { status, stdout, stderr };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function moduleFile(name: string, text: string): string {
  return file(name, assemble(text));
}

test("a policy that keeps the contract: distribution, time, no violations, exit status 0", () => {
  const candidates = file(
    "weights.yaml",
    "- { number: 3, weight: 1 }\n- { number: 4, weight: 3 }\n- { number: 5, draining: true }",
  );
  const args = [builtModulePath("policies/weighted"), "--candidates", candidates, "--flows", "4000", ...PATIENT];
  const { status, stdout, stderr } = policyTest(...args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/^candidates: 4000 flows, \d+ ns per choice, the slowest [\d.]+ ms$/m);
  expect(stdout).toMatch(/^ {2}instance 3 +1000 +25\.0 %$/m);
  expect(stdout).toMatch(/^ {2}instance 4, weight 3 +3000 +75\.0 %$/m);
  expect(stdout).toMatch(/^ {2}instance 5, draining +0 +0\.0 %$/m);
  expect(stdout).toMatch(/^no violations$/m);
});

test("--json is one object with every candidate", () => {
  const candidates = file("two.json", JSON.stringify([{ number: 8 }, { number: 9 }]));
  const { status, stdout } = policyTest(
    builtModulePath("policies/round-robin"),
    "--candidates",
    candidates,
    "--json",
    ...PATIENT,
  );
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    sets: [
      {
        set: "candidates",
        flows: 10_000,
        unanswered: 0,
        nsPerChoice: expect.any(Number),
        slowestMs: expect.any(Number),
        candidates: [
          { instance: 8, flows: 5000 },
          { instance: 9, flows: 5000 },
        ],
      },
    ],
    memoryBytes: expect.any(Number),
    violations: [],
  });
});

test("violations are named, and the exit status is 1", () => {
  const module = moduleFile("first.wasm", policyText());
  const candidates = file("drains.yaml", "- { number: 1, draining: true }\n- { number: 2 }");
  const { status, stdout, stderr } = policyTest(module, "--candidates", candidates, ...PATIENT);
  expect(status).toBe(1);
  expect(stdout).toContain(
    "violation, draining (candidates): choose answered instance 1, which drains, and 9999 more\n",
  );
  expect(stderr).toBe(`sapwood: ${module} has 1 violation.\n`);
});

test("a module that is refused before any candidate: the reason alone", () => {
  const module = moduleFile(
    "version.wasm",
    policyText({ abiVersion: '(func (export "abiVersion") (result i32) (i32.const 1))' }),
  );
  const { status, stdout } = policyTest(module);
  expect(status).toBe(1);
  expect(stdout).toMatch(/^violation, refused: .* must be built for policy ABI version 2; found version 1\.\n$/);
});

test("a module with imports of WASI: the reason alone", () => {
  const wasi = '(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))';
  const { status, stdout } = policyTest(moduleFile("wasi.wasm", policyText().replace("(module", wasi)));
  expect(status).toBe(1);
  expect(stdout).toContain('may import only env.abort; found the function "wasi_snapshot_preview1.fd_write".');
});

const forever = "(loop $forever (br $forever))";
test.each([
  ["start", policyText({}, `(start $hang) (func $hang ${forever})`)],
  [
    "choose",
    policyText({ choose: `(func (export "choose") (param i32 i32 i32) (result i32) ${forever} (i32.const 0))` }),
  ],
])("a module whose %s does not return is ended", (call, text) => {
  const { status, stdout } = policyTest(moduleFile("hang.wasm", text), "--time-limit", "20");
  expect(status).toBe(1);
  expect(stdout).toContain(`${call} did not return within 80 ms`);
});

test.each<{ what: string; content: () => string; said: string }>([
  {
    what: "an import of a memory",
    content: () =>
      moduleFile(
        "memory.wasm",
        policyText({ memory: '(import "env" "memory" (memory 1 4)) (export "memory" (memory 0))' }),
      ),
    said: "must have a memory of its own with a maximum of at most 256 pages; found 0 memories.",
  },
  {
    what: "one byte",
    content: () => file("byte.wasm", "x"),
    said: "is no valid WebAssembly; found another kind of file.",
  },
  {
    what: "nothing",
    content: () => file("empty.wasm", ""),
    said: "is no valid WebAssembly; found another kind of file.",
  },
  {
    what: "100 MB",
    content: () => {
      const path = file("large.wasm", "");
      truncateSync(path, 100_000_000);
      return path;
    },
    said: "cannot be read: expected at most 8388608 bytes, found 100000000.",
  },
  { what: "a folder", content: () => folder, said: "cannot be read: expected a file, found a folder." },
  { what: "a device", content: () => "/dev/zero", said: "cannot be read: expected a file, found a device." },
  { what: "no file", content: () => join(folder, "none.wasm"), said: "cannot be read: there is no such file (ENOENT)" },
])("$what in the place of a module is refused by a sentence", ({ content, said }) => {
  const path = content();
  const { status, stdout, stderr } = policyTest(path);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toContain(`sapwood: The policy module ${path} `);
  expect(stderr).toContain(said);
});

test("candidates that are wrong are exit status 2, with line and field", () => {
  const candidates = file("wrong.yaml", "- { number: 1 }\n- { number: 2, weigth: 3 }");
  const { status, stderr } = policyTest(builtModulePath("policies/random"), "--candidates", candidates);
  expect(status).toBe(2);
  expect(stderr).toContain("wrong.yaml:2:16: [1].weigth: expected one of number, service, weight,");
  expect(stderr).toContain("did you mean weight?");
});
