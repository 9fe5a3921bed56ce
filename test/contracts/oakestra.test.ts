// docs/oakestra-conformance.md and the titles of tests name the same rows.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROW = /^\| ((?:behaviour|defect|remedy|measured) \d+) \|(.*)$/gm;
const TAGS = /\[((?:behaviour|defect|remedy|measured) \d+(?:, (?:behaviour|defect|remedy|measured) \d+)*)\]["`]/g;
/** 14 is so by design. 42: no test lets the steps of a unikernel's deploy fail; they share the undoing of a container's. */
const NOT_SHOWN = ["defect 14", "defect 42"];

const root = new URL("../../", import.meta.url).pathname;
const page = readFileSync(join(root, "docs/oakestra-conformance.md"), "utf8");
const rows = [...page.matchAll(ROW)].map(([, row = "", text = ""]) => ({ row, text }));
const tagged = new Set(
  readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts"))
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
