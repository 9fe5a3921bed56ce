// What the commands print and exit with, against a control socket with constants behind it.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { SapwoodError } from "../../../src/base/errors.ts";
import { COMMANDS, FAMILIES, runProgram } from "../../../src/cli/program.ts";
import { ControlApi } from "../../../src/control/api/api.ts";
import {
  DIFFERENCE,
  DOCUMENT,
  DRY_RUN,
  ENGINE,
  FakeSource,
  FLOW,
  POLICY,
  STATUS,
} from "../../support/control-source.ts";

let folder: string;
let socket: string;
let source: FakeSource;
let api: ControlApi;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-cli-"));
  socket = join(folder, "test.sock");
  source = new FakeSource();
  api = await ControlApi.listen(socket, source.parts, () => undefined);
});

afterEach(async () => {
  await api.close();
  rmSync(folder, { recursive: true });
});

interface Outcome {
  readonly exit: number;
  readonly out: string;
  readonly error: string;
}

async function sapwood(line: readonly string[], columns?: number): Promise<Outcome> {
  let out = "";
  let error = "";
  const exit = await runProgram(line, "1.2.3", {
    columns,
    print: (text) => {
      out += text;
    },
    async printAll(pieces) {
      for (const piece of pieces) out += piece;
    },
    printPage: async () => undefined,
    printError: (text) => {
      error += text;
    },
  });
  return { exit, out, error };
}

/** The cells of a printed table, which stand two spaces apart. */
function cells(out: string): string[][] {
  return out
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {2,}/));
}

describe("queries", () => {
  test.each([
    ["status", JSON.parse(JSON.stringify(STATUS))],
    ["services", new FakeSource().services()],
    ["instances", new FakeSource().instances()],
    ["nodes", new FakeSource().nodes()],
    ["flows", { matching: 3, flows: [FLOW] }],
    ["counters", new FakeSource().counters()],
    ["offload", new FakeSource().offloads()],
    ["policy list", new FakeSource().policies()],
    ["policy show closest", POLICY],
    ["policy rollback closest", POLICY],
    ["engine show", ENGINE],
    ["engine rollback", ENGINE],
  ])("%s --json prints what the route answers", async (name, expected) => {
    const { exit, out } = await sapwood([...name.split(" "), "--socket", socket, "--json"]);
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toEqual(expected);
  });

  test.each(["status", "services", "instances", "nodes", "flows", "counters", "offload"])(
    "%s can be read in 80 columns",
    async (name) => {
      const { out } = await sapwood([name, "--socket", socket], 80);
      for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    },
  );

  test("status tells of restarts, switched-off offloads and the refused reload", async () => {
    const { out } = await sapwood(["status", "-s", socket]);
    expect(out).toContain("node-a");
    expect(out).toContain("sapwood 1.2.3, process 4711, up 1 min 5 s");
    expect(out).toContain("2 (2 restarts)");
    expect(out).toContain("UDP [2001:db8::1]:50103");
    expect(out).toContain("udp-gso off (switched off in the configuration)");
    expect(out).toContain("refused, generation 7 stays in force");
    expect(out).toContain("node.yaml:12: services[0].name: expected a name, found 5.");
    expect(out).toContain("takes effect at the next start: tun.mtu");
    expect(out).toContain("addresses 6 of 65536");
  });

  test("services has one line per address", async () => {
    const { out } = await sapwood(["services", "-s", socket]);
    expect(cells(out)).toEqual([
      ["ADDRESS", "POLICY", "SERVICE", "CANDIDATES", "DRAINING"],
      ["10.30.0.2", "round-robin", "b", "3", "1"],
      ["fdff:1000::1", "closest", "b", "3", "1"],
    ]);
  });

  test("instances shows each family in a line of its own", async () => {
    const { out } = await sapwood(["instances", "-s", socket]);
    const lines = cells(out);
    expect(lines[1]).toEqual(["b#2", "node-c", "10.21.3.2", "10.30.0.4", "1", "draining", "5"]);
    expect(lines[2]).toEqual(["", "fc00::21:3:2", "fdff::4"]);
  });

  test("nodes shows a dash for what was never measured", async () => {
    const { out } = await sapwood(["nodes", "-s", socket]);
    expect(cells(out).slice(1)).toEqual([
      [
        ...["node-c", "192.0.2.3:50103", "reachable", "1 min 5 s", "wireguard"],
        ...["0.250 ms", "12.5 km", "300 ms ago", "1372", "1"],
      ],
      ["node-d", "192.0.2.3:50103", "unknown", "-", "none", "-", "-", "-", "-", "0"],
    ]);
  });

  test("flows keeps a flow on one line where the width is not known or suffices", async () => {
    for (const columns of [undefined, 120]) {
      const { out } = await sapwood(["flows", "-s", socket], columns);
      expect(cells(out)[1]).toEqual([
        "tcp",
        "[fc00::101:3:23]:43210 -> [fdff:2000::1]:80",
        "b#2",
        "node-c",
        "half closed",
        "1.5 s",
        "12/9",
      ]);
      expect(out).toContain("... and 2 more");
    }
  });

  test("flows passes its filters on", async () => {
    await sapwood(["flows", "-s", socket, "--limit", "7", "--service", "a b", "--protocol", "udp"]);
    expect(source.flowQueries).toEqual([{ limit: 7, service: "a b", protocol: "udp" }]);
  });

  test("counters hides zeros unless asked for all", async () => {
    const { out } = await sapwood(["counters", "-s", socket]);
    expect(cells(out)).toEqual([
      ["COUNTER", "VALUE"],
      ["egressPackets", "12"],
      [""],
      ["DROPPED BECAUSE", "EGRESS", "INGRESS"],
      ["noInstance", "3", "0"],
      [""],
      ["DROPPED BY THE KERNEL", "PACKETS"],
      ["tunDrops", "17"],
    ]);
    const all = await sapwood(["counters", "-s", socket, "--all"]);
    expect(all.out).toMatch(/^egressBytes +0$/m);
    expect(all.out).toMatch(/^portZero +0 +0$/m);
  });
});

describe("apply", () => {
  test("sends the file as it is and prints the generation", async () => {
    const file = join(folder, "services.yaml");
    writeFileSync(file, "services: [] # ü\n");
    const { exit, out } = await sapwood(["apply", file, "-s", socket]);
    expect({ exit, out }).toEqual({ exit: 0, out: "generation 8: 3 nodes, 2 services, 4 instances\n" });
    expect(source.applied).toEqual(["services: [] # ü\n"]);
  });

  test("--merge sends it as a patch", async () => {
    const file = join(folder, "changes.yaml");
    writeFileSync(file, "remove: { services: [a] }\n");
    const { exit, out } = await sapwood(["apply", "--merge", file, "-s", socket]);
    expect({ exit, out }).toEqual({ exit: 0, out: "generation 8: 3 nodes, 2 services, 4 instances\n" });
    expect([source.applied, source.merged]).toEqual([[], ["remove: { services: [a] }\n"]]);
  });

  test("--allow-empty goes along with either", async () => {
    const file = join(folder, "none.yaml");
    writeFileSync(file, "none");
    await sapwood(["apply", "--allow-empty", file, "-s", socket]);
    await sapwood(["apply", "--allow-empty", "--merge", file, "-s", socket]);
    expect([source.applied, source.merged]).toEqual([["none, may be empty"], ["none, may be empty"]]);
  });

  test("a refused file is one sentence and exit status 2", async () => {
    const file = join(folder, "services.yaml");
    writeFileSync(file, "services: 5\n");
    source.failure = new SapwoodError("tables-invalid", "services: expected a list, found 5.");
    const { exit, error } = await sapwood(["apply", file, "-s", socket]);
    expect({ exit, error }).toEqual({ exit: 2, error: "sapwood: services: expected a list, found 5.\n" });
  });

  test("a file that does not exist is named", async () => {
    const { exit, error } = await sapwood(["apply", "/nonexistent.yaml", "-s", socket]);
    expect(exit).toBe(2);
    expect(error).toBe("sapwood: /nonexistent.yaml cannot be read: there is no such file (ENOENT).\n");
  });
});

describe("apply --dry-run", () => {
  const TEXT = `Generation 7 would change:
- node node-c
+ node node-f
~ node node-b, underlay.port 50103 -> 50104
- service old
+ service new
~ service web
    + address fdff::9, closest
    ~ address 10.30.0.2, policy round-robin -> closest
    - instance 1 on node-c
    + instance 3 on node-b
    ~ instance 2, weight 1 -> 5, namespace 10.1.1.1 -> 10.1.1.2 fc00::2
`;

  test.each([
    [[], "preview services: []\n"],
    [["--allow-empty"], "preview services: []\n even if empty"],
    [["--merge", "--allow-empty"], "preview the merge of services: []\n even if empty"],
  ])("with %j shows the difference and applies nothing", async (options, ordered) => {
    const file = join(folder, "services.yaml");
    writeFileSync(file, "services: []\n");
    expect(await sapwood(["apply", "--dry-run", ...options, file, "-s", socket])).toEqual({
      exit: 0,
      out: TEXT,
      error: "",
    });
    expect([source.applied, source.merged, source.modules]).toEqual([[], [], [ordered]]);
    const { out } = await sapwood(["apply", "--dry-run", ...options, file, "-s", socket, "--json"]);
    expect(JSON.parse(out)).toEqual(DIFFERENCE);
  });
});

describe("tables", () => {
  test("prints YAML that means what the route answers", async () => {
    const { exit, out } = await sapwood(["tables", "-s", socket]);
    expect(exit).toBe(0);
    expect(parse(out)).toEqual(DOCUMENT);
    expect(out).toBe(`nodes:
  - id: node-b
    underlay: { address: "2001:db8::2", port: 50103 }
    accept: { anyPort: true, addresses: [], unknownSources: false }
    location: { latitude: -1.5, longitude: 0 }
services:
  - name: größe
    addresses:
      - { address: 10.30.0.2, policy: round-robin }
    instances:
      - { number: 2, node: node-b, weight: 1, draining: true, namespace: ["fc00::2"], addresses: ["fdff::4"] }
  - name: "no"
    addresses: []
    instances: []
  - name: "10.5"
    addresses: []
    instances: []
`);
  });

  test("--json prints the same as JSON", async () => {
    expect(JSON.parse((await sapwood(["tables", "-s", socket, "--json"])).out)).toEqual(DOCUMENT);
  });
});

describe("offload", () => {
  test("without arguments shows each offload with its reason", async () => {
    const { exit, out } = await sapwood(["offload", "-s", socket]);
    expect(exit).toBe(0);
    expect(cells(out)).toEqual([
      ["OFFLOAD", "STATE", "REASON"],
      ["tun-tcp", "on", "in force"],
      ["udp-gso", "off", "switched off in the configuration"],
    ]);
    expect(source.switched).toEqual([]);
  });

  test.each(["on", "off"])("switches an offload %s", async (state) => {
    const { exit } = await sapwood(["offload", "tun-udp", state, "-s", socket]);
    expect(exit).toBe(0);
    expect(source.switched).toEqual([`tun-udp ${state === "on"}`]);
  });

  test.each([
    [["tun-udp"], '"on" or "off"; found nothing'],
    [["tun-udp", "maybe"], '"on" or "off"; found maybe'],
    [["tun-checksum", "off"], 'found "tun-checksum"'],
  ])("%j is exit status 2 and switches nothing", async (line, said) => {
    const { exit, error } = await sapwood(["offload", ...line, "-s", socket]);
    expect(exit).toBe(2);
    expect(error).toContain(said);
    expect(source.switched).toEqual([]);
  });

  test("a kernel that refuses is one sentence and exit status 1", async () => {
    source.failure = new SapwoodError("offload-refused", "The offload tun-udp stays off: Linux before 6.2 has no USO.");
    const { exit, error } = await sapwood(["offload", "tun-udp", "on", "-s", socket]);
    expect({ exit, error }).toEqual({
      exit: 1,
      error: "sapwood: The offload tun-udp stays off: Linux before 6.2 has no USO.\n",
    });
  });
});

describe("failures", () => {
  test.each(["status", "services", "instances", "nodes", "flows", "counters"])(
    "%s without a proxy is one sentence that names the socket",
    async (name) => {
      const missing = join(folder, "missing.sock");
      const { exit, out, error } = await sapwood([name, "-s", missing]);
      expect({ exit, out }).toEqual({ exit: 1, out: "" });
      expect(error).toMatch(/^sapwood: No proxy answers at .*\n$/);
      expect(error).toContain(missing);
    },
  );

  test.each([
    [["statsu"], "Did you mean status?"],
    [["status", "--jsno"], "Did you mean --json?"],
    [["flows", "--limit", "0"], "whole number"],
    [["flows", "--protocol", "sctp"], "tcp, udp, icmp, other"],
    [["policy", "show"], "name"],
    [["status", "extra"], "too many arguments"],
    [["policy", "nwe"], "Did you mean new?"],
    [["policy", "new"], "name"],
  ])("%j is exit status 2 and says what was expected", async (line, said) => {
    const { exit, out, error } = await sapwood(line);
    expect({ exit, out }).toEqual({ exit: 2, out: "" });
    expect(error).toMatch(/^sapwood: /);
    expect(error).toContain(said);
    expect(error).toMatch(/See "sapwood (?:policy )?help/);
  });

  test.each([["run"], ["check"], ["key", "show"], ["key", "next"]])(
    "%s %s without a configuration says where it is looked for",
    async (...line) => {
      const { exit, error } = await sapwood(line);
      expect(exit).toBe(2);
      expect(error).toBe(
        "sapwood: A configuration is needed: none was named, and there is none at /etc/sapwood/node.yaml.\n",
      );
    },
  );

  test.each([
    [["statsu", "--json"], 2, "usage", "unknown command 'statsu' (Did you mean status?)"],
    [["status", "--jsno", "--json"], 2, "usage", "unknown option '--jsno' (Did you mean --json?)"],
    [["flows", "--limit", "x", "--json"], 2, "usage", "whole number"],
    [["status", "-s", "/nonexistent.sock", "--json"], 1, "not-running", "/nonexistent.sock"],
    [["check", "/nonexistent.yaml", "--json"], 2, "config-unreadable", "/nonexistent.yaml"],
  ])("%j is one object on standard error", async (line, status, code, said) => {
    const { exit, out, error } = await sapwood(line);
    expect({ exit, out }).toEqual({ exit: status, out: "" });
    expect(error.endsWith("}\n")).toBe(true);
    expect(JSON.parse(error)).toEqual({ error: { code, message: expect.stringContaining(said), details: [] } });
  });

  test.each(["", ".", ".."])("%j is no name of a policy", async (name) => {
    const { exit, error } = await sapwood(["policy", "show", name, "-s", socket]);
    expect({ exit, error }).toEqual({ exit: 2, error: `sapwood: The name of a policy is needed; found "${name}".\n` });
  });

  test("a name of any script gets to its route, in one composition of its characters", async () => {
    await sapwood(["policy", "show", "gro\u0308ße", "-s", socket]);
    await sapwood(["policy", "unload", "最近/%?#", "-s", socket]);
    await sapwood(["flows", "--service", "gro\u0308ße&a=b", "-s", socket]);
    expect(source.modules).toEqual(["show größe", "unload 最近/%?#"]);
    expect(source.flowQueries).toMatchObject([{ service: "größe&a=b" }]);
  });

  test("the details of an error come through the socket", async () => {
    const details = [{ message: "expected a list, found 5", file: "tables", line: 1, column: 11, field: "services" }];
    source.failure = new SapwoodError("config-invalid", "tables:1:11: services: expected a list", { details });
    const file = join(folder, "services.yaml");
    writeFileSync(file, "services: 5\n");
    const { exit, error } = await sapwood(["apply", file, "-s", socket, "--json"]);
    expect(exit).toBe(2);
    expect(JSON.parse(error)).toEqual({
      error: {
        code: "config-invalid",
        message: `${file}:1:11: services: expected a list`,
        details: details.map((detail) => ({ ...detail, file })),
      },
    });
  });

  test("an empty path of a socket is no path", async () => {
    const { exit, error } = await sapwood(["status", "-s", ""]);
    expect({ exit, error }).toEqual({ exit: 2, error: "sapwood: --socket must be a path; found an empty text.\n" });
  });

  test("an unforeseen error is exit status 70 with its stack", async () => {
    const file = join(folder, "services.yaml");
    writeFileSync(file, "");
    source.failure = new TypeError("inner words");
    const { exit, error } = await sapwood(["apply", file, "-s", socket]);
    expect(exit).toBe(70);
    expect(error).toContain("unexpected error");
  });
});

describe("help", () => {
  test.each([["help"], ["--help"]])("%s lists every command and family under its heading", async (word) => {
    const { exit, out } = await sapwood([word]);
    expect(exit).toBe(0);
    const alone = COMMANDS.filter(({ name }) => !name.includes(" "));
    for (const entry of [...alone, ...FAMILIES]) expectListed(out, entry, entry.name);
  });

  test.each(FAMILIES)("$name lists its commands under their headings", async ({ name }) => {
    const members = COMMANDS.filter((command) => command.name.startsWith(`${name} `));
    expect(members.length).toBeGreaterThan(0);
    for (const line of [
      [name, "help"],
      [name, "--help"],
      ["help", name],
    ]) {
      const { exit, out } = await sapwood(line);
      expect(exit, line.join(" ")).toBe(0);
      for (const member of members) expectListed(out, member, member.name.slice(name.length + 1));
    }
  });

  test("a command of two words belongs to a family", () => {
    const firsts = COMMANDS.filter(({ name }) => name.includes(" ")).map(({ name }) => name.split(" ")[0]);
    expect([...new Set(firsts)]).toEqual(FAMILIES.map(({ name }) => name));
  });

  test.each(COMMANDS.map(({ name, options, examples }) => ({ name, options, examples })))(
    "$name --help and its help command show its options and examples",
    async ({ name, options, examples }) => {
      const words = name.split(" ");
      const { exit, out } = await sapwood([...words, "--help"]);
      expect(exit).toBe(0);
      expect((await sapwood([...words.slice(0, -1), "help", ...words.slice(-1)])).out).toBe(out);
      for (const { flags } of options) expect(out).toContain(flags);
      expect(examples.length).toBeGreaterThan(0);
      for (const { line } of examples) {
        expect(line.split(" ").slice(0, words.length)).toEqual(words);
        expect(out).toContain(`$ sapwood ${line}`);
      }
    },
  );

  test.each(COMMANDS.map(({ name }) => name))("help %s is its help", async (name) => {
    const words = name.split(" ");
    const { exit, out } = await sapwood(["help", ...words]);
    expect(exit).toBe(0);
    expect(out).toBe((await sapwood([...words, "--help"])).out);
  });

  test.each([
    [["help", "statsu"], "unknown command 'statsu'\n(Did you mean status?)\nSee \"sapwood help\"."],
    [["help", "policy", "laod"], "unknown command 'laod'\n(Did you mean load?)"],
    [["policy", "help", "laod"], "unknown command 'laod'\n(Did you mean load?)"],
    [["help", "status", "more"], "unknown command 'more'"],
  ])("%j says that there is none", async (line, said) => {
    const { exit, out, error } = await sapwood(line);
    expect({ exit, out }).toEqual({ exit: 2, out: "" });
    expect(error).toContain(said);
  });

  test("SAPWOOD_SOCKET says where the proxy is, unless --socket does or it is empty", async () => {
    vi.stubEnv("SAPWOOD_SOCKET", socket);
    expect((await sapwood(["status"])).exit).toBe(0);
    expect((await sapwood(["status", "-s", "/nonexistent.sock"])).error).toContain("/nonexistent.sock");
    expect((await sapwood(["help", "status"])).out).toMatch(/\(default: SAPWOOD_SOCKET,\s+else/);
    vi.stubEnv("SAPWOOD_SOCKET", "");
    expect((await sapwood(["status"])).error).toContain("/run/sapwood/sapwood.sock");
    vi.unstubAllEnvs();
  });

  function expectListed(out: string, { group, summary }: { group: string; summary: string }, name: string): void {
    expect(out).toContain(`${group}:`);
    expect(out).toMatch(new RegExp(`^ +${name}\\b`, "m"));
    expect(out.replace(/\s+/g, " ")).toContain(summary);
  }

  test("no arguments at all show the help as an error", async () => {
    const { exit, error } = await sapwood([]);
    expect(exit).toBe(2);
    expect(error).toContain("Usage: sapwood <command>");
  });

  test("--version prints the version", async () => {
    expect(await sapwood(["--version"])).toEqual({ exit: 0, out: "1.2.3\n", error: "" });
  });
});

describe("modules", () => {
  let file: string;

  beforeEach(() => {
    file = join(folder, "closest.wasm");
    writeFileSync(file, "wasm");
  });

  test("policy list has a line per policy, with its state and its last error", async () => {
    const { out } = await sapwood(["policy", "list", "-s", socket]);
    expect(cells(out).slice(1)).toEqual([
      ["closest", "faulty", "0123456789ab", "/srv/closest.wasm", "1", "640", "0.46 µs", "choose answered 7"],
      ["mine", "no module", "-", "-", "1", "0", "-", "-"],
    ]);
  });

  test("policy show tells the swap, the faults and the share of each instance", async () => {
    const { out } = await sapwood(["policy", "show", "closest", "-s", socket]);
    expect(out).toContain("all workers within 2.35 ms, each paused for at most 0.68 ms");
    expect(out).toContain("3 outOfRange");
    expect(cells(out).slice(-2)).toEqual([
      ["b", "fdff:1000::1", "0 on node-c", "1", "25.0 %"],
      ["b", "fdff:1000::1", "1 on node-d", "3", "75.0 %"],
    ]);
  });

  test("policy load hands the file over and names it", async () => {
    const { exit } = await sapwood(["policy", "load", "closest", file, "-s", socket]);
    expect(exit).toBe(0);
    expect(source.modules).toEqual([`load closest wasm from ${file}`]);
  });

  test("policy load --dry-run only tries it, and shows the flows now and after", async () => {
    const { out } = await sapwood(["policy", "load", "closest", file, "--dry-run", "-s", socket]);
    expect(source.modules).toEqual(["try closest wasm"]);
    expect(out).toContain("0123456789ab may be loaded; 10000 new flows to each address would go to");
    expect(cells(out).slice(-3)).toEqual([
      ["b", "fdff:1000::1", "0 on node-c", "10000", "4000"],
      ["b", "fdff:1000::1", "1 on node-d", "0", "5990"],
      ["b", "fdff:1000::1", "the engine's choice", "0", "10"],
    ]);
    const { out: json } = await sapwood(["policy", "load", "closest", file, "--dry-run", "--json", "-s", socket]);
    expect(JSON.parse(json)).toEqual(DRY_RUN);
  });

  test("engine load hands the file over and prints the engine", async () => {
    const { exit, out } = await sapwood(["engine", "load", file, "-s", socket]);
    expect(exit).toBe(0);
    expect(out).toContain("4321 bytes, built-in, loaded 2026-01-02T03:04:05.000Z");
    expect(source.modules).toEqual([`load engine wasm from ${file}`]);
  });

  test.each([
    ["a file that is not there", "missing.wasm", undefined],
    ["a file of more than 8 MiB", "large.wasm", 8 * 2 ** 20 + 1],
  ])("%s is refused before anybody is asked", async (_what, name, sizeBytes) => {
    const path = join(folder, name);
    if (sizeBytes !== undefined) writeFileSync(path, new Uint8Array(sizeBytes));
    const { exit, error } = await sapwood(["policy", "load", "closest", path, "-s", socket]);
    expect(exit).toBe(1);
    expect(error).toContain(path);
    expect(source.modules).toEqual([]);
  });
});
