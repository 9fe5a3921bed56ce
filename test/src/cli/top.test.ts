// `sapwood top` against a control socket with ten thousand services behind it, and on a screen made of lines.

import { expect, test } from "vitest";
import type { ErrorTerminal, Screen, ScreenEvent } from "../../../src/cli/command.ts";
import { rateText } from "../../../src/cli/format.ts";
import { runProgram } from "../../../src/cli/program.ts";
import { cells, sapwood, useFakeProxy } from "./support/fake-proxy.ts";

const proxy = useFakeProxy();

/** Shows pages until `events` are over; then the user has left. */
class FakeScreen implements Screen {
  readonly pages: (readonly string[])[] = [];
  readonly rows: number;
  readonly columns: number;
  isOpen = true;
  readonly #events: ScreenEvent[];

  constructor(columns: number, rows: number, events: readonly ScreenEvent[]) {
    this.columns = columns;
    this.rows = rows;
    this.#events = [...events];
  }

  show(lines: readonly string[]): void {
    this.pages.push(lines);
  }

  async next(): Promise<ScreenEvent> {
    return this.#events.shift() ?? "left";
  }

  close(): void {
    this.isOpen = false;
  }
}

async function onScreen(line: readonly string[], screen: FakeScreen): Promise<{ exit: number; error: string }> {
  let error = "";
  const terminal: ErrorTerminal = {
    columns: screen.columns,
    print: () => expect.unreachable(),
    printAll: async () => expect.unreachable(),
    printPage: async () => expect.unreachable(),
    printError: (text) => {
      error += text;
    },
    openScreen: () => screen,
  };
  const exit = await runProgram([...line, "--socket", proxy.socket], "1.2.3", terminal);
  return { exit, error };
}

test("--once prints the busiest, with rates of one interval", async () => {
  const { exit, out } = await sapwood(["top", "--once", "-n", "2", "-i", "100ms", "-s", proxy.socket]);
  expect(exit).toBe(0);
  expect(cells(out)).toEqual([
    ["out 1.5 k packets/s, 1.5 Mbit/s", "in 0 packets/s, 0 bit/s", "dropped 2/s"],
    [""],
    ["SERVICE", "INSTANCES", "FLOWS", "OUT/S", "IN/S"],
    ["service-0", "3", "10000", "1.5 k", "0.5"],
    ["service-1", "3", "9999", "1.5 k", "0.5"],
    ["... and 9998 more"],
  ]);
});

test("--json prints what the route answers, by instance where that is asked for", async () => {
  const { out } = await sapwood(["top", "--json", "--by", "instance", "-n", "1", "-i", "100ms", "-s", proxy.socket]);
  expect(JSON.parse(out)).toMatchObject({
    overMs: 1000,
    rows: [{ service: "service-0", instance: 1, node: "node-c" }],
  });
});

test("without a terminal it is printed once", async () => {
  const { out } = await sapwood(["top", "-i", "100ms", "-s", proxy.socket]);
  expect(out).toContain("... and 9980 more");
});

test("a page has no more lines and columns than the terminal, and follows its size", async () => {
  const screen = new FakeScreen(30, 10, ["time", "resized"]);
  expect(await onScreen(["top"], screen)).toEqual({ exit: 0, error: "" });
  expect(screen.isOpen).toBe(false);
  expect(screen.pages).toHaveLength(4); // the first before there is anything to tell
  for (const page of screen.pages) {
    expect(page.length).toBeLessThanOrEqual(10);
    for (const line of page) expect(line.length).toBeLessThanOrEqual(30);
  }
  expect(screen.pages[1]?.[3]).toMatch(/^service-0 /);
  expect(screen.pages[1]).toHaveLength(10);
});

test("a terminal with no room for a row still has a page", async () => {
  const screen = new FakeScreen(10, 2, []);
  expect((await onScreen(["top"], screen)).exit).toBe(0);
});

test("what ends it closes the screen", async () => {
  const screen = new FakeScreen(80, 24, ["time"]);
  screen.show = () => {
    throw new Error("the terminal is gone");
  };
  expect((await onScreen(["top"], screen)).error).toContain("the terminal is gone");
  expect(screen.isOpen).toBe(false);
});

test.each(["99ms", "soon", "1"])("the interval %s is refused", async (interval) => {
  const { exit, error } = await sapwood(["top", "--once", "-i", interval, "-s", proxy.socket]);
  expect(error).toBe(`sapwood: --interval: expected 100ms or more, found "${interval}".\n`);
  expect(exit).toBe(2);
});

test.each([
  [0, "0"],
  [0.25, "0.3"],
  [12, "12"],
  [999.4, "999"],
  [999.6, "1.0 k"],
  [1500, "1.5 k"],
  [20_000_000, "20 M"],
])("%s is written %s", (value, expected) => {
  expect(rateText(value)).toBe(expected);
});
