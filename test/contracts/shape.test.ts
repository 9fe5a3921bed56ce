// The shape of the sources: what they show each other, and what they keep between two calls.
import { describe, expect, test } from "vitest";
import { RECORDS } from "../support/layout-records.ts";
import { filesBelow, sourcesBelow, text } from "../support/source-files.ts";

/** What the host, a test or a module of somebody else calls by name. */
const ENTRIES =
  /^assembly\/(?:engine|adoption|workbench|policy\/[\w-]+)\.ts$|^test\/support\/global-setup\.ts$|^vitest\.config\.ts$/;
/**
 * Who says which generation a call sees, where the regions are, whether verdicts are noted and where the packet in hand is;
 * and who sets that.
 */
const SHARED_STATE = {
  "assembly/area/generation.ts": "enter",
  "assembly/area/regions.ts": "attachRegions",
  "assembly/area/verdict-notes.ts": "clearNotes",
  "assembly/forward/packet-in-hand.ts": "attachPacket",
};

test("what a source exports is named in another one", () => {
  const sources = ["vitest.config.ts", ...["assembly", "src", "test", "bench"].flatMap(sourcesBelow)];
  const programs = ["test", "bench", "scripts"].flatMap(filesBelow).filter((path) => path.endsWith(".mjs"));
  const namers = new Map<string, string[]>();
  for (const path of [...sources, ...programs]) {
    for (const name of new Set(text(path).match(/\w+/g))) namers.set(name, [...(namers.get(name) ?? []), path]);
  }
  // Places in the memory map: a record's type has a field for each.
  for (const name of Object.values(RECORDS).flatMap(({ fields }) => Object.keys(fields))) {
    namers.set(name, [...(namers.get(name) ?? []), "assembly/record"]);
  }
  const exported = (path: string): string[] =>
    [...text(path).matchAll(/^export (?:async |abstract |declare )*[a-z]+ (\w+)/gm)].map(([, name = ""]) => name);
  const unused = sources
    .filter((path) => !ENTRIES.test(path))
    .flatMap((path) =>
      exported(path)
        .filter((name) => namers.get(name)?.length === 1)
        .map((name) => `${path}: ${name}`),
    );
  expect(unused).toEqual([]);
});

test("a field is read and written by its name, where a record's type says where it is", () => {
  const accesses = sourcesBelow("assembly")
    .filter((path) => !/^assembly\/(?:record|wire)\//.test(path))
    .flatMap((path) => {
      const calls = [...text(path).matchAll(/(?:(?<![.\w])(?:load|store)|\b(?:atomic|v128)\.\w+)(?:<\w+>)?\(/g)];
      return calls.map((call) => [path, ...argumentsAt(text(path), call.index + call[0].length)]);
    });
  expect(accesses.length).toBeGreaterThan(100);
  const isNamed = (argument: string): boolean => /^(?:<\w+>)?(?:\w+\.)?[A-Z][A-Z_\d]+(?: [+]|$)/.test(argument);
  expect(accesses.filter(([, , ...others]) => others.some(isNamed))).toEqual([]);
});

describe("no result goes from one function to another by way of a variable", () => {
  test("only those export variables that hold for a whole call", () => {
    const exporters = [...sourcesBelow("assembly"), ...sourcesBelow("src")].filter((path) =>
      /^export (?:let|var) /m.test(text(path)),
    );
    expect(exporters.sort()).toEqual(Object.keys(SHARED_STATE));
  });

  test("and they set them when a worker or a call begins, and at no other place", () => {
    const setters = Object.keys(SHARED_STATE).flatMap((path) => {
      const variables = [...text(path).matchAll(/^export let (\w+)/gm)].map(([, name = ""]) => name);
      const functions = text(path)
        .split(/^(?=export function |function )/m)
        .slice(1);
      return functions
        .filter((body) => new RegExp(`^\\s+(?:${variables.join("|")}) = `, "m").test(body))
        .map((body) => [path, /function (\w+)/.exec(body)?.[1]]);
    });
    expect(setters).toEqual(Object.entries(SHARED_STATE));
  });
});

/** What stands between the parenthesis before `start` and the one that closes it. */
function argumentsAt(source: string, start: number): string[] {
  const found = [""];
  let depth = 0;
  for (const character of source.slice(start, start + 500)) {
    if (character === ")" && depth === 0) break;
    if (character === "(") depth++;
    if (character === ")") depth--;
    if (character === "," && depth === 0) found.push("");
    else found[found.length - 1] += character;
  }
  return found.map((argument) => argument.trim());
}
