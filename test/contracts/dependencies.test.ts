// Which source may import which: the rules of docs/architecture.md, "Dependencies", read from the imports.
import { describe, expect, test } from "vitest";
import { importsOf, sourcesBelow, text } from "../support/source-files.ts";

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

/** The shapes of what the control plane knows and answers. Nothing in them runs, so lower parts may see them too. */
const SHAPES = ["src/control/model.ts", "src/control/reports.ts"];

/** "src/sys/tun.ts" -> "src/sys"; "src/errors.ts" -> "src/errors.ts". */
function part(path: string): string {
  return SHAPES.includes(path) ? path : path.split("/").slice(0, 2).join("/");
}

function isOwn(path: string): boolean {
  return /^(?:assembly|src|test|bench)\//.test(path);
}

/** Imports of the repository's own files that `allowed` does not name; a part may always import itself. */
function beyond(imports: readonly Import[], allowed: Readonly<Record<string, readonly string[]>>): string[] {
  return imports
    .filter(({ to }) => isOwn(to))
    .filter(({ from, to }) => part(to) !== part(from) && !allowed[part(from)]?.includes(part(to)))
    .map(({ from, to }) => `${from} imports ${to}`);
}

describe("assembly", () => {
  const wire = ["assembly/shared", "assembly/wire", "assembly/checksum"];
  const table = [...wire, "assembly/frame", "assembly/table"];
  const engine = [...table, "assembly/measure", "assembly/translate", "assembly/offload"];

  test("each folder stands on the lower ones only", () => {
    const allowed = {
      "assembly/wire": wire,
      "assembly/checksum": wire,
      "assembly/frame": table,
      "assembly/table": table,
      "assembly/measure": [...table, "assembly/measure"],
      "assembly/translate": engine,
      "assembly/offload": engine,
      "assembly/forward": engine,
      "assembly/policy": ["assembly/shared"],
      "assembly/engine.ts": [...engine, "assembly/forward"],
      "assembly/probe.ts": [...engine, "assembly/engine.ts"],
    };
    expect(beyond(ASSEMBLY, allowed)).toEqual([]);
  });

  test("only the queues make iovecs, and only who generates headers names the parts of a packet", () => {
    const callers = (name: string): string[] =>
      sourcesBelow("assembly").filter((path) => new RegExp(`(?<!function )\\b${name}\\(`).test(text(path)));
    expect(callers("pushIovec")).toEqual(
      ["parts", "tun-queue", "udp-queue"].map((name) => `assembly/frame/${name}.ts`),
    );
    const generators = ["offload/fragment", "translate/icmp-error"];
    expect(new Set([...callers("sendParts"), ...callers("writeParts")])).toEqual(
      new Set(generators.map((name) => `assembly/${name}.ts`)),
    );
    expect(callers("sendProbe")).toEqual(["assembly/measure/probe.ts"]);
  });

  test("nothing is imported from the host or from packages", () => {
    expect(ASSEMBLY.filter(({ to }) => !to.startsWith("assembly/"))).toEqual([]);
  });

  test("a policy imports nothing but the SDK", () => {
    const policies = ASSEMBLY.filter(({ from }) => part(from) === "assembly/policy" && !from.endsWith("/sdk.ts"));
    expect(policies.filter(({ to }) => to !== "assembly/policy/sdk.ts")).toEqual([]);
  });
});

describe("host", () => {
  const base = [
    "assembly/shared",
    "src/errors.ts",
    "src/flow-protocols.ts",
    "src/log-levels.ts",
    "src/log.ts",
    "src/version.ts",
    "src/net",
  ];
  const memory = [...base, ...SHAPES, "src/memory"];
  const dataplane = [...memory, "src/sys", "src/dataplane"];
  const control = [...dataplane, "src/control", "src/metrics"];
  const cli = [...control, "src/cli", "src/lab"];

  test("each folder stands on the lower ones only", () => {
    const allowed = {
      "src/log.ts": ["src/log-levels.ts"],
      "src/net": ["src/errors.ts"],
      "src/sys": base,
      "src/memory": memory,
      "src/metrics": memory,
      "src/dataplane": dataplane,
      "src/control": control,
      "src/control/reports.ts": ["src/flow-protocols.ts", "src/control", "src/control/model.ts"],
      "src/lab": [...base, ...SHAPES, "src/sys"],
      "src/cli": cli,
      "src/main.ts": [...cli, "src/early-signals.ts"],
    };
    expect(beyond(HOST, allowed)).toEqual([]);
  });

  test("the loop gets devices, clock and modules as arguments", () => {
    const loop = HOST.filter(({ from }) => from === "src/dataplane/loop.ts");
    expect(loop.filter(({ to }) => /^src\/(?:control|metrics|cli|log\.ts)/.test(to) || to === "koffi")).toEqual([]);
  });

  test.each([
    ["koffi", /^src\/sys\//],
    ["ipaddr.js", /^src\/net\//],
    ["yaml", /^src\/(?:control|lab)\//],
    ["zod", /^src\/control\//],
    ["pino", /^src\/log\.ts$/],
    ["commander", /^src\/(?:cli\/|main\.ts$)/],
    ["cli-table3", /^src\/(?:cli|lab)\//],
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
