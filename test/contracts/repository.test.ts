// What must not get into the repository.
import { describe, expect, test } from "vitest";
import { filesBelow, text } from "../support/source-files.ts";

/** A file with more is split by subject. */
const LINES_MAX = 450;
const FILES = filesBelow("").filter((path) => path !== "LICENSE" && !/\.(?:tgz|log)$/.test(path));

// Spelled so that no pattern matches itself.
test.each([
  ["host name of a package registry", /registry\.[\w-]+\.\w|npm[j]s\.|\.npm[j]s/],
  ["note to do something later", /\b(?:TO[D]O|FIX[M]E|X[X]X)\b/],
  ["path of somebody's machine", /(?<![\w.])\/(?:home|root|work|Users)\//],
  ["hidden type error", /@ts-(?:ign[o]re|nochec[k]|expect-erro[r])/],
  ["key or token", /-----BEGIN [A-Z ]*PRIVATE KEY/],
])("no file has a %s", (_what, pattern) => {
  const lines = FILES.flatMap((path) =>
    text(path)
      .split("\n")
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  );
  expect(lines).toEqual([]);
});

describe("package-lock.json", () => {
  const lock = JSON.parse(text("package-lock.json"));
  const manifest = JSON.parse(text("package.json"));

  test("names no place to download from, so that any registry serves", () => {
    const named = Object.entries(lock.packages).filter(([, entry]) => Object.hasOwn(entry as object, "resolved"));
    expect(named.map(([path]) => path)).toEqual([]);
  });

  test("pins every package by its content", () => {
    const packages = Object.entries(lock.packages as Record<string, { integrity?: string }>);
    expect(packages.filter(([path, entry]) => path !== "" && entry.integrity === undefined)).toEqual([]);
  });

  test("has every optional package, without which `npm ci` refuses it", () => {
    const packages = lock.packages as Record<string, { optionalDependencies?: Record<string, string> }>;
    const optional = Object.values(packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}));
    expect(optional.length).toBeGreaterThan(0);
    expect(optional.filter((name) => !Object.hasOwn(packages, `node_modules/${name}`))).toEqual([]);
  });

  test("belongs to package.json", () => {
    const { name, version, dependencies, devDependencies } = manifest;
    expect(lock.packages[""]).toMatchObject({ name, version, dependencies, devDependencies });
  });
});

test("every source says at its top what it is; tests say it by their names", () => {
  const sources = FILES.filter((path) => /\.(?:tsx?|mjs)$/.test(path) && !path.endsWith(".test.ts"));
  expect(sources.filter((path) => !/^(?:#!.*\n)?(?:\/\/|\/\*)/.test(text(path)))).toEqual([]);
});

test("no source is too long to be read at once", () => {
  const sources = FILES.filter((path) => /^(?:src|assembly|test|bench|scripts)\/.*\.(?:tsx?|mjs|cjs|css)$/.test(path));
  const lengths = sources.map((path) => ({ path, lines: text(path).trimEnd().split("\n").length }));
  expect(lengths.filter(({ lines }) => lines > LINES_MAX)).toEqual([]);
});
