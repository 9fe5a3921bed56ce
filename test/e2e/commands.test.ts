// The commands as people type them, beside running proxies: names of any script from file to packet and back, tables out
// and in again, a dry run, the places where a socket and a configuration are looked for, and the log on a terminal.
import { afterAll, beforeAll, expect, test } from "vitest";
import { builtFile } from "../../src/lab/build-paths.ts";
import { configFile, controlSocket, type Lab } from "../../src/lab/lab.ts";
import { tablesOf, tablesText } from "../../src/lab/node-config.ts";
import { SERVICE_B } from "../../src/lab/topology.ts";
import type { ConnectionsResult } from "../../src/lab/workload-protocol.ts";
import type { DifferenceReport, ErrorReport, StatusReport } from "../../src/model/reports.ts";
import type { Tables } from "../../src/model/tables.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { TWO_NODES } from "../support/topologies.ts";

const NODE = "node-a";
const ADDRESS = "10.30.0.2";
const NAME = "größe/東京?#%";
const DECOMPOSED = NAME.normalize("NFD");
const POLICY = "größte-nähe";
const FOLDER = "/run/sapwood/commands";
const TABLES = tablesOf(TWO_NODES);
const SAPWOOD = [process.execPath, builtFile("src/main.js")];

/** The lab's tables with B under another name. */
const RENAMED: Tables = {
  ...TABLES,
  services: TABLES.services.map((service) => (service.name === SERVICE_B.name ? { ...service, name: NAME } : service)),
};

describeLab("commands", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await openLab(TWO_NODES);
  });
  afterAll(() => lab?.close());

  test("a dry run tells what a file would change, and changes nothing", async () => {
    const { code, stdout, stderr } = await applied(tablesText(NODE, RENAMED), "--dry-run");
    expect(code, stderr).toBe(0);
    expect(stdout).toContain(`- service ${SERVICE_B.name}\n+ service ${NAME}\n`);
    const json = await applied(tablesText(NODE, RENAMED), "--dry-run", "--json");
    const { services } = JSON.parse(json.stdout) as DifferenceReport;
    expect(services).toEqual({ added: [NAME], removed: [SERVICE_B.name], changed: [] });
    expect(await printed("flows", "--service", SERVICE_B.name)).toContain("No flows");
  });

  test("a name of any script goes from a file to flows, and is the same in every composition", async () => {
    expect((await applied(tablesText(NODE, RENAMED).replaceAll(NAME, DECOMPOSED))).code).toBe(0);
    expect(await printed("services")).toContain(NAME);
    const job = { kind: "connections", address: ADDRESS, count: 3, concurrency: 1 } as const;
    expect((await lab.ask<ConnectionsResult>("a1", job)).failures).toEqual([]);
    for (const name of [NAME, DECOMPOSED]) expect(await printed("flows", "--service", name)).toContain(`${NAME}#`);
  });

  test("what is in force comes out as YAML and as JSON, is valid, and changes nothing when it is applied", async () => {
    for (const format of [[], ["--json"]]) {
      const text = await printed("tables", ...format);
      expect(text).toContain(NAME);
      lab.sandbox.writeFile(`${FOLDER}.tables`, text);
      const check = [...SAPWOOD, "check", `${FOLDER}.tables`, "--config", configFile(NODE)];
      expect(await lab.sandbox.expect(check, NODE)).toContain("is valid for apply");
      expect((await applied(text, "--dry-run")).stdout).toContain("Nothing would change");
      const before = await printed("status", "--json");
      expect((await applied(text)).code).toBe(0);
      expect(JSON.parse(await printed("status", "--json")).generation).toBe(JSON.parse(before).generation);
    }
  });

  test("a policy of any script is loaded, listed and unloaded", async () => {
    await printed("policy", "load", POLICY.normalize("NFD"), builtFile("wasm/policies/closest.wasm"));
    expect(await printed("policy", "list")).toContain(POLICY);
    await printed("policy", "unload", POLICY);
    expect(await printed("policy", "list")).not.toContain(POLICY);
    expect((await failed("policy", "show", POLICY)).code).toBe("not-found");
  });

  test("a filter that names nothing says so, as text and as JSON", async () => {
    const { code, stdout, stderr } = await lab.sapwood(NODE, ["flows", "--service", "nope"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^sapwood: There is no service "nope"; there are /);
    expect((await failed("flows", "--service", "nope")).message).toContain('There is no service "nope"');
  });

  test("a wrong file is told by its own name, with line and column", async () => {
    const { code, stderr } = await applied('services:\n  - name: "a\\u009b b"\n');
    expect(code).toBe(2);
    expect(stderr).toBe(
      `sapwood: ${FOLDER}.yaml:2:5: services[0].name: expected 1 to 253 bytes of printable characters without spaces, ` +
        "found a\\u009b b\n",
    );
  });

  test("SAPWOOD_SOCKET names the proxy, and a command without a file says where it looks", async () => {
    const env = ["env", `SAPWOOD_SOCKET=${controlSocket(NODE)}`];
    expect(await lab.sandbox.expect([...env, ...SAPWOOD, "status"], NODE)).toContain(NODE);
    const { code, stderr } = await lab.sandbox.run([...SAPWOOD, "check"], NODE);
    expect(code).toBe(2);
    expect(stderr).toContain("there is none at /etc/sapwood/node.yaml");
  });

  test("the log is for people on a terminal, and for programs elsewhere", async () => {
    await lab.proxy(NODE).stop();
    const run = [...SAPWOOD, "run", "--config", configFile(NODE), "--socket", controlSocket(NODE)].join(" ");
    const terminal = lab.sandbox.start(["script", "--quiet", "--return", "--command", run, "/dev/null"], NODE);
    await terminal.until("the proxy", ({ stdout }) => stdout.includes("sapwood ready"));
    expect((await applied(tablesText(NODE, RENAMED))).code).toBe(0);
    await terminal.until("a line of the log", ({ stdout }) => stdout.includes("tables applied"));
    expect(terminal.stdout).toMatch(/\] \S*INFO\S*: \S*tables applied/);
    const { pid } = await lab.report<StatusReport>(NODE, "status");
    await lab.sandbox.expect(["kill", "-TERM", String(pid)]);
    expect((await terminal.ended).code).toBe(0);
    const program = await lab.startProxy(NODE);
    expect((await applied(tablesText(NODE, RENAMED))).code).toBe(0);
    await program.until("a line of the log", ({ stderr }) => stderr.includes('"msg":"tables applied"'));
  });

  /** Of a command that succeeds. */
  async function printed(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await lab.sapwood(NODE, args);
    expect(code, stderr).toBe(0);
    return stdout;
  }

  async function failed(...args: readonly string[]): Promise<ErrorReport["error"]> {
    const { code, stdout, stderr } = await lab.sapwood(NODE, [...args, "--json"]);
    expect(code).not.toBe(0);
    expect(stdout).toBe("");
    return (JSON.parse(stderr) as ErrorReport).error;
  }

  async function applied(text: string, ...options: readonly string[]) {
    lab.sandbox.writeFile(`${FOLDER}.yaml`, text);
    return await lab.sapwood(NODE, ["apply", ...options, `${FOLDER}.yaml`]);
  }
});
