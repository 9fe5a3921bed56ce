// Everything that a user can meet by name has its place in the documentation.
import { describe, expect, test } from "vitest";
import { Counter } from "../../assembly/shared/counters.ts";
import { DropReason } from "../../assembly/shared/verdicts.ts";
import { COMMANDS } from "../../src/cli/program.ts";
import { filesBelow, text } from "../support/source-files.ts";

const COUNTERS = text("docs/counters.md");
const CONTROL_API = text("docs/control-api.md");
const README = text("README.md");

/** Keys of a numeric enum that stand for something: neither `none` nor the closing `count`. */
function keysOf(numericEnum: object): string[] {
  return Object.keys(numericEnum).filter((key) => !/^\d+$/.test(key) && key !== "none" && key !== "count");
}

/** First columns of the tables below a heading. */
function tabulated(heading: string): string[] {
  const section = COUNTERS.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  return [...section.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1] ?? "");
}

test("docs/counters.md describes every counter, and no other", () => {
  expect(tabulated("Counters").sort()).toEqual(keysOf(Counter).sort());
});

test("docs/counters.md describes every drop reason in the order in which they are checked", () => {
  expect(tabulated("Drop reasons")).toEqual(keysOf(DropReason));
});

test("docs/control-api.md describes every error code", () => {
  const catalogue = text("src/errors.ts").match(/const CATALOGUE = \{([\s\S]*?)\n\}/)?.[1] ?? "";
  const codes = [...catalogue.matchAll(/^ {2}"?([a-z-]+)"?:/gm)].map((match) => match[1] ?? "");
  expect(codes.length).toBeGreaterThan(10);
  expect(codes.filter((code) => !CONTROL_API.includes(`\`${code}\``))).toEqual([]);
});

test("README.md names every command", () => {
  const missing = COMMANDS.map((command) => command.name).filter((name) => !README.includes(`sapwood ${name}`));
  expect(missing).toEqual([]);
});

describe("links", () => {
  const pages = ["README.md", "bench/README.md", ...filesBelow("docs").filter((path) => path.endsWith(".md"))];

  test.each(pages)("%s points to files that exist", (page) => {
    const folder = page.includes("/") ? `${page.slice(0, page.lastIndexOf("/"))}/` : "";
    const targets = [...text(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((match) => match[1] ?? "");
    const files = new Set(filesBelow(""));
    const resolved = targets.map((target) => new URL(target, `file:///${folder}`).pathname.slice(1));
    expect(resolved.filter((path) => !files.has(path) && ![...files].some((f) => f.startsWith(`${path}/`)))).toEqual(
      [],
    );
  });
});
