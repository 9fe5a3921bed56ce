import { describe, expect, test } from "vitest";
import { renderFields, renderTable, TextTable } from "../../../src/base/text-table.ts";

const COLUMNS = ["name", { right: "flows" }, "node"] as const;

describe("renderTable", () => {
  test("columns are as wide as their widest cell, two spaces apart, without spaces at the end", () => {
    expect(
      renderTable(COLUMNS, [
        ["web", "12", "a"],
        ["database", "3", ""],
      ]),
    ).toBe("NAME      FLOWS  NODE\nweb          12  a\ndatabase      3\n");
  });

  test("wide and combining characters do not move the columns behind them", () => {
    expect(
      renderTable(COLUMNS, [
        ["東京", "1", "a"],
        ["größe", "2", "b"],
        ["gro\u0308ße", "3", "c"],
      ]),
    ).toBe("NAME   FLOWS  NODE\n東京       1  a\ngröße      2  b\ngro\u0308ße      3  c\n");
  });

  test("a cell may have several lines", () => {
    expect(renderTable(COLUMNS, [["a\nbb", "1", "x\ny\nz"]])).toBe(
      "NAME  FLOWS  NODE\na         1  x\nbb           y\n             z\n",
    );
  });

  test("without rows there are the heads", () => {
    expect(renderTable(COLUMNS, [])).toBe("NAME  FLOWS  NODE\n");
  });
});

describe("TextTable", () => {
  test("pieces are whole lines, and the first is there before the last rows are looked at", () => {
    let looked = 0;
    const rows = Array.from({ length: 10_000 }, (_, i) => {
      const row = [`service-${i}`, "1", "node"];
      return new Proxy(row, {
        get(target, property, receiver) {
          looked += 1;
          return Reflect.get(target, property, receiver);
        },
      });
    });
    const table = new TextTable(COLUMNS, rows);
    looked = 0;
    const pieces = table.pieces();
    const first = String(pieces.next().value);
    expect(first.endsWith("\n")).toBe(true);
    const lookedForFirst = looked;
    const rest = [...pieces];
    expect(lookedForFirst).toBeLessThan(looked / 2);
    expect((first + rest.join("")).split("\n")).toHaveLength(10_002);
  });

  test("its width is that of its longest line", () => {
    const rows = [["東京", "1", "a"]];
    expect(new TextTable(COLUMNS, rows).width).toBe("NAME  FLOWS  NODE".length);
    expect(new TextTable(["a"], [["東京\nlonger"]]).width).toBe(6);
  });

  test("ten times the rows look at ten times the cells, not at a hundred times", () => {
    const looks = (length: number): number => {
      let count = 0;
      const row = new Proxy(["a", "b", "c"], {
        get(target, property, receiver) {
          count += 1;
          return Reflect.get(target, property, receiver);
        },
      });
      for (const _ of new TextTable(COLUMNS, Array<string[]>(length).fill(row)).pieces());
      return count;
    };
    expect(looks(10_000)).toBe(10 * looks(1000));
  });
});

test("renderFields indents further lines of a value", () => {
  expect(
    renderFields([
      ["node", "a"],
      ["größe", "1\n2"],
    ]),
  ).toBe("node   a\ngröße  1\n       2\n");
});
