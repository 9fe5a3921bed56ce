// dist/program is the host code in few files, as it starts, with the npm packages that a start needs: each place in it
// leads to its source, and the licences of the packages are beside it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { join, relative, resolve } from "node:path";
import { expect, test } from "vitest";
import { builtFile, sourceFile } from "../../src/lab/build-paths.ts";

const FOLDER = builtFile("program");
const CODE = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));

function sourceMapOf(name: string): ConstructorParameters<typeof SourceMap>[0] {
  return JSON.parse(readFileSync(join(FOLDER, `${name}.map`), "utf8"));
}

function sourceAt(path: string): string {
  return relative(sourceFile("."), resolve(FOLDER, path));
}

const SOURCES = CODE.flatMap((name) => sourceMapOf(name).sources.map(sourceAt));

test("all of it is of the sources of this repository, or of packages", () => {
  const isOurs = (path: string): boolean => /^(?:src|assembly\/shared|node_modules)\//.test(path);
  expect(SOURCES.filter((path) => !isOurs(path) || !existsSync(sourceFile(path)))).toEqual([]);
  const parts = ["src/start.ts", "src/node/node-proxy.ts", "src/cli/run.ts", "src/dataplane/worker/worker.ts"];
  expect(SOURCES).toEqual(expect.arrayContaining(parts));
});

test("each package that is in it has its licence beside it", () => {
  const inside = SOURCES.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []);
  const licenses = readFileSync(join(FOLDER, "licenses.txt"), "utf8");
  expect(inside).toEqual(expect.arrayContaining(["zod", "yaml", "commander", "pino", "hono", "ipaddr.js"]));
  expect([...new Set(inside)].filter((name) => !licenses.includes(`${name} `))).toEqual([]);
});

test("a line of a stack trace leads to the line of its source", () => {
  const line = "  static async start(options: NodeProxyOptions)";
  const name = CODE.find((each) => readFileSync(join(FOLDER, each), "utf8").includes("// src/node/node-proxy.ts\n"));
  const lines = readFileSync(join(FOLDER, name ?? "missing"), "utf8").split("\n");
  const from = lines.indexOf("// src/node/node-proxy.ts");
  const at = lines.findIndex((text, i) => i > from && text.startsWith("  static async start("));
  const found = new SourceMap(sourceMapOf(name ?? "missing")).findEntry(at, "  static async start".length);
  if (!("originalSource" in found)) throw new Error(`line ${at + 1} of ${name} must be of a source; found none`);
  expect(sourceAt(found.originalSource)).toBe("src/node/node-proxy.ts");
  const source = readFileSync(sourceFile("src/node/node-proxy.ts"), "utf8").split("\n");
  expect(source[found.originalLine]).toContain(line);
});
