// Which source may import which: the rules of docs/architecture.md, "Dependencies", read from the imports.
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { sourceFile } from "../../src/lab/build-paths.ts";
import { fieldName } from "../support/layout-fields.ts";
import { RECORDS } from "../support/layout-records.ts";
import { filesBelow, importsOf, sourcesBelow, text } from "../support/source-files.ts";

interface Import {
  readonly from: string;
  readonly to: string;
}

function importsBelow(...folders: string[]): Import[] {
  return folders.flatMap(sourcesBelow).flatMap((from) => importsOf(from).map((to) => ({ from, to })));
}

const ASSEMBLY = importsBelow("assembly");
const HOST = importsBelow("src");
const AROUND = importsBelow("test", "bench");

/** From the bottom up: each part imports itself and those before it. So no circle of folders can come about. */
const ENGINE_PARTS = [
  "assembly/shared",
  "assembly/record",
  "assembly/wire",
  "assembly/checksum",
  "assembly/area",
  "assembly/table",
  "assembly/queue",
  "assembly/measure",
  "assembly/ask",
  "assembly/family",
  "assembly/flow",
  "assembly/answer",
  "assembly/nat",
  "assembly/offload",
  "assembly/forward",
  "assembly/engine.ts",
  "assembly/adoption.ts",
  "assembly/workbench.ts",
];
const HOST_PARTS = [
  "assembly/shared",
  "src/base",
  "src/net",
  "src/model",
  "src/page",
  "src/sys",
  "src/memory",
  "src/dataplane/io",
  "src/dataplane/modules",
  "src/dataplane/capture",
  "src/dataplane/worker",
  "src/control/tables",
  "src/control/health",
  "src/control/config",
  "src/control/state",
  "src/control/modules",
  "src/control/underlay",
  "src/control/providers",
  "src/control/observe",
  "src/control/replay",
  "src/control/api",
  "src/control/page",
  "src/node",
  "src/doctor",
  "src/lab",
  "src/cli",
  "src/start.ts",
  "src/main.ts",
];

/** The longest of `parts` that a path is in; the path itself if it is in none. */
function part(path: string, parts: readonly string[]): string {
  const around = parts.filter((each) => path === each || path.startsWith(`${each}/`));
  return around.sort((a, b) => b.length - a.length)[0] ?? path;
}

function isOwn(path: string): boolean {
  return /^(?:assembly|src|test|bench)\//.test(path);
}

/** Imports of the repository's own files that do not lead downwards. */
function upwards(imports: readonly Import[], parts: readonly string[]): string[] {
  const rank = (path: string): number => parts.indexOf(part(path, parts));
  return imports
    .filter(({ to }) => isOwn(to))
    .filter(({ from, to }) => rank(to) < 0 || rank(to) > rank(from))
    .map(({ from, to }) => `${from} imports ${to}`);
}

describe("assembly", () => {
  const engine = ASSEMBLY.filter(({ from }) => !from.startsWith("assembly/policy/"));

  test("each part stands on the lower ones only", () => {
    expect(upwards(engine, ENGINE_PARTS)).toEqual([]);
  });

  test("only the queues make iovecs, and only who generates headers names the parts of a packet", () => {
    const callers = (name: string): string[] =>
      sourcesBelow("assembly").filter((path) => new RegExp(`(?<!function )\\b${name}\\(`).test(text(path)));
    expect(callers("pushIovec")).toEqual(["parts", "tun", "udp"].map((name) => `assembly/queue/${name}.ts`));
    const generators = ["answer/icmp-error", "offload/fragment"];
    expect(new Set([...callers("sendParts"), ...callers("writeParts")])).toEqual(
      new Set(generators.map((name) => `assembly/${name}.ts`)),
    );
    expect(callers("sendProbe")).toEqual(["assembly/measure/probe.ts"]);
  });

  test("a record is read and written through its type alone", () => {
    const fields = Object.values(RECORDS).flatMap((record) =>
      Object.keys(record.fields).map((field) => fieldName(record, field).replace(".", "\\.")),
    );
    const isField = new RegExp(`,\\s*(?:${fields.join("|")}),?\\s*\\)`);
    const accesses = /\b(?:load|store)<\w+>\([^;{}]*|\b(?:v128|atomic)\.\w+(?:<\w+>)?\([^;{}]*/g;
    const raw = (path: string): string[] => (text(path).match(accesses) ?? []).filter((access) => isField.test(access));
    expect(sourcesBelow("assembly/record").flatMap(raw).length).toBeGreaterThan(10);
    const views = /^assembly\/(?:record\/|table\/bucket\.ts$)/; // a bucket is an array of words
    const others = sourcesBelow("assembly").filter((path) => !views.test(path));
    expect(others.flatMap((path) => raw(path).map((access) => `${path}: ${access}`))).toEqual([]);
  });

  test("nothing is imported from the host or from packages", () => {
    expect(ASSEMBLY.filter(({ to }) => !to.startsWith("assembly/"))).toEqual([]);
  });

  test("a policy imports nothing but the SDK", () => {
    const policies = ASSEMBLY.filter(({ from }) => from.startsWith("assembly/policy/") && !from.endsWith("/sdk.ts"));
    expect(policies.length).toBeGreaterThan(0);
    expect(policies.filter(({ to }) => to !== "assembly/policy/sdk.ts")).toEqual([]);
    expect(upwards(importsBelow("assembly/policy"), ["assembly/shared", "assembly/policy"])).toEqual([]);
  });
});

describe("host", () => {
  test("each part stands on the lower ones only", () => {
    expect(upwards(HOST, HOST_PARTS)).toEqual([]);
  });

  test.each([
    ["src/net", ["src/base"]],
    ["src/model", ["assembly/shared", "src/base", "src/net"]],
    ["src/page", ["src/model"]],
    ["src/sys", ["assembly/shared", "src/base", "src/net"]],
    ["src/memory", ["assembly/shared", "src/base", "src/net", "src/model"]],
    ["src/lab", ["assembly/shared", "src/base", "src/net", "src/model", "src/sys"]],
  ])("%s knows nothing of what stands beside it", (folder, below) => {
    expect(upwards(importsBelow(folder), [...below, folder])).toEqual([]);
  });

  test("nothing of the proxy imports what runs in a browser, and that knows of the proxy only what it is told", () => {
    expect(HOST.filter(({ from, to }) => !from.startsWith("src/page/") && to.startsWith("src/page/"))).toEqual([]);
    const known = HOST.filter(({ from, to }) => from.startsWith("src/page/") && to.startsWith("src/model/"));
    expect(new Set(known.map(({ to }) => to))).toEqual(new Set(["src/model/page-reports.ts"]));
  });

  test("only the node knows where its tables come from", () => {
    const importers = HOST.filter(({ to }) => to.startsWith("src/control/providers/")).map(({ from }) => from);
    expect(importers.filter((from) => !/^src\/(?:node|control\/providers)\//.test(from))).toEqual([]);
  });

  test("the loop gets devices, clock and modules as arguments", () => {
    const loop = HOST.filter(({ from }) => from === "src/dataplane/worker/loop.ts");
    expect(loop.filter(({ to }) => /^src\/(?:control|node|cli|base\/log\.ts)/.test(to) || to === "koffi")).toEqual([]);
  });

  test.each([
    ["koffi", /^src\/sys\//],
    ["ipaddr.js", /^src\/net\//],
    ["yaml", /^src\/(?:control|lab)\//],
    ["zod", /^src\/(?:control|model)\//],
    ["hono", /^src\/control\/(?:api|providers)\//],
    ["@hono/node-server", /^src\/(?:control\/api|node)\//],
    ["pino", /^src\/base\/log\.ts$/],
    ["pino-pretty", /^src\/base\/pretty-log\.ts$/],
    ["commander", /^src\/(?:cli\/|start\.ts$)/],
    ["prom-client", /^src\/control\/observe\//],
    ["get-east-asian-width", /^src\/base\//],
    ["preact", /^src\/page\//],
    ["preact/hooks", /^src\/page\//],
    ["uplot", /^src\/page\//],
  ])("%s is used where it belongs", (library, place) => {
    expect(HOST.filter(({ from, to }) => to === library && !place.test(from))).toEqual([]);
  });
});

describe("across", () => {
  test("the host, tests and benches see only the shared constants of the engine", () => {
    const intoAssembly = [...HOST, ...AROUND].filter(({ to }) => to.startsWith("assembly/"));
    expect(intoAssembly.length).toBeGreaterThan(0);
    expect(intoAssembly.filter(({ to }) => !to.startsWith("assembly/shared/"))).toEqual([]);
  });

  test("the program imports neither tests nor benches", () => {
    expect([...HOST, ...ASSEMBLY].filter(({ to }) => /^(?:test|bench)\//.test(to))).toEqual([]);
  });

  test("what a script of a test imports of the build is exported by its source", () => {
    const scripts = filesBelow("test").filter((path) => path.endsWith(".mjs"));
    const missing = scripts.flatMap((path) => {
      const imports = text(path).matchAll(/import \{([^}]*)\} from "(?:\.\.\/)+dist\/([^"]+)\.js"/g);
      return [...imports].flatMap(([, names = "", built = ""]) => {
        const source = existsSync(sourceFile(`${built}.ts`)) ? text(`${built}.ts`) : "";
        const wanted = names.split(",").map((name) => name.trim().split(" as ")[0] ?? "");
        const isThere = (name: string) => new RegExp(`export [^;={]*\\b${name}\\b`).test(source);
        return wanted.filter((name) => name !== "" && !isThere(name)).map((name) => `${path}: ${name} of ${built}`);
      });
    });
    expect(missing).toEqual([]);
    expect(scripts.length).toBeGreaterThan(10);
  });

  test("files do not import each other in a circle", () => {
    const graph = new Map<string, string[]>();
    for (const { from, to } of [...ASSEMBLY, ...HOST]) graph.set(from, [...(graph.get(from) ?? []), to]);
    expect(circles(graph)).toEqual([]);
  });
});

function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const finished = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      found.push([...path.slice(path.indexOf(file)), file].join(" -> "));
      return;
    }
    if (finished.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    finished.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return found;
}
