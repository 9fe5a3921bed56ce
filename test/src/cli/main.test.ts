// The built command as a process: exit status, and what goes to stdout and to stderr.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BUILT_IN_POLICIES } from "../../../src/model/policy-names.ts";

const MAIN = fileURLToPath(new URL("../../../dist/src/main.js", import.meta.url));
const MANIFEST = new URL("../../../package.json", import.meta.url);

const GOOD = `node:
  id: node-a
  underlay: { address: 192.0.2.1 }
services:
  - name: b
    addresses: [{ address: 10.30.0.2, policy: round-robin }]
    instances:
      - { number: 1, node: node-a, namespace: [10.18.3.1], addresses: [10.30.0.3] }
`;
const BAD = GOOD.replace("10.18.3.1", "10.18.3.256");

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-main-"));
  file = join(folder, "node.yaml");
});

afterEach(() => rmSync(folder, { recursive: true }));

function sapwood(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("--version prints the package's version", () => {
  const { version } = JSON.parse(readFileSync(MANIFEST, "utf8")) as { version: string };
  expect(sapwood("--version")).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
});

test("check accepts a good file and says what is in it", () => {
  writeFileSync(file, GOOD);
  expect(sapwood("check", file)).toEqual({
    status: 0,
    stdout: `${file} is valid: node node-a, 0 other nodes, 1 service, 1 instance\n`,
    stderr: "",
  });
  expect(JSON.parse(sapwood("check", file, "--json").stdout)).toEqual({
    file,
    node: "node-a",
    nodes: 0,
    services: 1,
    instances: 1,
  });
});

test("check accepts every built-in policy, and Oakestra's names", () => {
  for (const policy of [...BUILT_IN_POLICIES, "RR", "Closest"]) {
    writeFileSync(file, GOOD.replace("policy: round-robin", `policy: ${policy}`));
    expect(sapwood("check", file).status, policy).toBe(0);
  }
  writeFileSync(file, GOOD.replace("policy: round-robin", "policy: fastest"));
  expect(sapwood("check", file)).toMatchObject({
    status: 2,
    stderr: expect.stringContaining(`policy: expected one of ${BUILT_IN_POLICIES.join(", ")}, found fastest`),
  });
});

test.each(["check", "run"])("%s refuses a bad file with file, line, field, expected and found", (command) => {
  writeFileSync(file, BAD);
  const { status, stdout, stderr } = sapwood(command, ...(command === "run" ? ["--config"] : []), file);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(/^sapwood: .*\n$/);
  expect(stderr).toContain(`${file}:8:48: services[0].instances[0].namespace[0]: expected`);
  expect(stderr).toContain("10.18.3.256");
});

test("run refuses a log level from the environment that does not exist", () => {
  writeFileSync(file, GOOD);
  const env = { ...process.env, SAPWOOD_LOG_LEVEL: "loud" };
  const { status, stderr } = spawnSync(process.execPath, [MAIN, "run", "-c", file], { encoding: "utf8", env });
  expect(status).toBe(2);
  expect(stderr).toBe(
    'sapwood: SAPWOOD_LOG_LEVEL must be one of trace, debug, info, warn, error, silent; found "loud".\n',
  );
});

test.each([
  [["check", "/nonexistent.yaml"], 2, "/nonexistent.yaml cannot be read: there is no such file (ENOENT)"],
  [
    ["status", "--socket", "/nonexistent.sock"],
    1,
    "No proxy answers at /nonexistent.sock, there is no such socket (ENOENT)",
  ],
  [["instnaces"], 2, "Did you mean instances?"],
])("%j ends with status %i and a sentence", (args, status, said) => {
  const outcome = sapwood(...args);
  expect(outcome).toMatchObject({ status, stdout: "" });
  expect(outcome.stderr).toContain(said);
});

/** What bash says of each command of a pipeline. */
function pipeline(line: string) {
  const { stdout, stderr } = spawnSync("bash", ["-c", `${line}; echo "${"$"}{PIPESTATUS[@]}"`], { encoding: "utf8" });
  return { statuses: stdout.trimEnd().split("\n").at(-1), stderr };
}

test("a reader that leaves early ends the command as SIGPIPE does, without a word", () => {
  // The command starts when nobody reads any more.
  const go = join(folder, "go");
  const command = `cat "${go}" >/dev/null; exec "${process.execPath}" "${MAIN}" help`;
  expect(pipeline(`mkfifo "${go}"; (${command}) | (exec 0<&-; echo >"${go}")`)).toEqual({
    statuses: "141 0",
    stderr: "",
  });
});

test("a message that nobody reads is no failure of its own", () => {
  expect(pipeline(`"${process.execPath}" "${MAIN}" check /nonexistent.yaml 2>&1 | true`).statuses).toBe("2 0");
});

test("output that cannot be written is one sentence", () => {
  expect(pipeline(`"${process.execPath}" "${MAIN}" help >/dev/full`)).toEqual({
    statuses: "1",
    stderr: "sapwood: The output cannot be written (ENOSPC).\n",
  });
});

test("no control character of an argument or a file gets to the terminal", () => {
  const evil = "a\u001b]0;title\u0007\u009b31m\u202eb\r";
  writeFileSync(file, `${JSON.stringify({ [evil]: 1, node: { id: evil } })}\n`);
  for (const args of [["check", file], ["check", evil], [evil], ["status", "-s", evil], ["policy", "new", evil]]) {
    const { stdout, stderr } = sapwood(...args);
    expect(stdout).toBe("");
    expect(stderr).toContain("\\u001b]0;title\\u0007\\u009b31m\\u202eb\\u000d");
    expect(stderr.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
  }
});

test.each([["check"], ["run", "--config"], ["key", "show", "--config"]])(
  "%s %s refuses a pipe and a device at once",
  (...command) => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    for (const path of [pipe, "/dev/zero"]) {
      const { status, stderr } = sapwood(...command, path);
      expect({ path, status }).toEqual({ path, status: 2 });
      expect(stderr).toMatch(/^sapwood: \S+ cannot be read: expected a file, found a (?:named pipe|device)\.\n$/);
    }
  },
);

test("apply reads what comes late through standard input, or through a pipe of the shell", () => {
  const socket = join(folder, "none.sock");
  for (const [given, from] of [
    ["-", `(sleep 0.2; echo "{}") |`],
    ["<(sleep 0.2; echo '{}')", ""],
  ]) {
    const line = `${from} "${process.execPath}" "${MAIN}" apply ${given} -s ${socket}`;
    const { stderr } = spawnSync("bash", ["-c", line], { encoding: "utf8" });
    expect(stderr).toContain(`No proxy answers at ${socket}`); // it has read all by then
  }
});

test("check looks at the files of policies", () => {
  const policies = "policies: { mine: { file: ./mine.wasm } }\n";
  const refused = `node.yaml:9:21: policies.mine.file: expected a policy module. The policy module ${folder}/mine.wasm`;
  writeFileSync(file, GOOD + policies);
  expect(sapwood("check", file).stderr).toContain(`${refused} cannot be read: there is no such file`);
  writeFileSync(join(folder, "mine.wasm"), "no module");
  expect(sapwood("check", file).stderr).toContain(refused);
  for (const [module, status] of [
    ["engine", 2],
    ["policies/random", 0],
  ] as const) {
    writeFileSync(
      join(folder, "mine.wasm"),
      readFileSync(new URL(`../../../dist/wasm/${module}.wasm`, import.meta.url)),
    );
    expect(sapwood("check", file).status, module).toBe(status);
  }
});
