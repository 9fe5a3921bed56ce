// docs/oakestra-conformance.md and the titles of tests name the same rows.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { commandParser } from "../../src/cli/command.ts";
import { allCommands } from "../../src/cli/commands.ts";

const COMMANDS = await allCommands();
const ROW = /^\| ((?:behaviour|defect|remedy|measured) \d+) \|(.*)$/gm;
const TAGS = /\[((?:behaviour|defect|remedy|measured) \d+(?:, (?:behaviour|defect|remedy|measured) \d+)*)\]["`]/g;
/** 14 is so by design. */
const NOT_SHOWN = ["defect 14"];

const TERMINAL = { print: () => {}, printAll: async () => {}, printPage: async () => {}, columns: undefined };

const root = new URL("../../", import.meta.url).pathname;
const page = readFileSync(join(root, "docs/oakestra-conformance.md"), "utf8");
const rows = [...page.matchAll(ROW)].map(([, row = "", text = ""]) => ({ row, text }));
const tagged = new Set(
  readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .flatMap((path) => [...readFileSync(join(root, "test", path), "utf8").matchAll(TAGS)])
    .flatMap(([, tags = ""]) => tags.split(", ")),
);

test("every row of what Oakestra expects has a test that names it, and every name is a row", () => {
  const names = rows.map(({ row }) => row);
  expect(new Set(names).size).toBe(names.length);
  expect([...tagged].sort()).toEqual(names.filter((row) => !NOT_SHOWN.includes(row)).sort());
});

test("every defect has its remedy", () => {
  const count = (kind: string) => rows.filter(({ row }) => row.startsWith(kind)).length;
  expect(["behaviour", "defect", "remedy", "measured"].map(count)).toEqual([15, 46, 15, 13]);
  const mended = rows.filter(({ row }) => row.startsWith("remedy")).flatMap(({ text }) => [...text.matchAll(/\d+/g)]);
  for (const [number] of mended) expect(rows.map(({ row }) => row)).toContain(`defect ${number}`);
});

test("each command line of docs/oakestra.md is one that the program takes", async () => {
  const operation = readFileSync(join(root, "docs/oakestra.md"), "utf8");
  const lines = [...operation.matchAll(/`sapwood ([a-z][^`]*)`|^sapwood (.+)$/gm)].map(([, a, b]) =>
    (a ?? b ?? "").trim(),
  );
  expect(lines).toContain("install-netmanager");
  for (const line of lines) {
    const words = line.split(" ");
    const command = COMMANDS.find(({ name }) => name === words.slice(0, name.split(" ").length).join(" "));
    if (command === undefined) throw new Error(`"sapwood ${line}" names no command.`);
    const taken: string[] = [];
    const quiet = { ...command, run: async () => void taken.push(line) };
    const parser = commandParser(quiet, TERMINAL)
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    await parser.parseAsync(words.slice(command.name.split(" ").length), { from: "user" });
    expect(taken).toEqual([line]);
  }
});
