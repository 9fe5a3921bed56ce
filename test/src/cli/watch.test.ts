// Commands with --watch: an answer in the place of the one before, until the reader leaves.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ErrorTerminal } from "../../../src/cli/command.ts";
import { processTerminal } from "../../../src/cli/process-terminal.ts";
import { runProgram } from "../../../src/cli/program.ts";
import { ControlApi } from "../../../src/control/api/api.ts";
import { FakeSource } from "../../support/control-source.ts";

let folder: string;
let socket: string;
let api: ControlApi;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-watch-"));
  socket = join(folder, "test.sock");
  await listen();
});

afterEach(async () => {
  await api.close();
  rmSync(folder, { recursive: true });
});

async function listen(): Promise<void> {
  api = await ControlApi.listen(socket, new FakeSource().parts, () => undefined);
}

interface Watched {
  readonly pages: readonly string[];
  readonly lines: string;
  readonly error: string;
  readonly exit: number;
}

/** Runs a command until it has shown `count` times; `between` happens after each of them. */
async function watched(line: readonly string[], count: number, between?: (shown: number) => Promise<void>) {
  const pages: string[] = [];
  let lines = "";
  let error = "";
  const leave = async (shown: number) => {
    await between?.(shown);
    if (shown === count) throw new Error("the reader has left");
  };
  const terminal: ErrorTerminal = {
    columns: 200,
    print: () => expect.unreachable(),
    async printAll(pieces) {
      lines += [...pieces].join("");
      await leave(lines.split("\n").length - 1);
    },
    async printPage(pieces) {
      await leave(pages.push([...pieces].join("")));
    },
    printError: (text) => {
      error += text;
    },
  };
  const exit = await runProgram([...line, "--socket", socket], "1.2.3", terminal);
  return { pages, lines, error, exit } satisfies Watched;
}

test("a table is shown again and again", async () => {
  const { pages, error } = await watched(["nodes", "--watch", "100ms"], 3);
  expect(pages).toHaveLength(3);
  for (const page of pages) expect(page).toMatch(/^NODE +UNDERLAY/);
  expect(error).toContain("the reader has left");
});

test("offloads are shown so as well, and one is not switched so", async () => {
  const { pages } = await watched(["offload", "--watch", "100ms"], 2);
  expect(pages[1]).toMatch(/^OFFLOAD +STATE/);
  const { error, exit } = await watched(["offload", "udp-gro", "off", "--watch"], 1);
  expect(error).toContain("expected no --watch");
  expect(exit).toBe(2);
});

test("counters have rates from the second time on", async () => {
  const { pages } = await watched(["counters", "--watch", "100ms"], 2);
  expect(pages[0]).toMatch(/^COUNTER +VALUE\negressPackets +12\n/);
  expect(pages[1]).toMatch(/^COUNTER +VALUE +PER SECOND\negressPackets +12 +0\n/);
  expect(pages[1]).toMatch(/^DROPPED BECAUSE +EGRESS +INGRESS +PER SECOND\nnoInstance +3 +0 +0\n/m);
  expect(pages[1]).toMatch(/^tunDrops +17 +0$/m);
});

test("with --json there is one object a line", async () => {
  const { lines } = await watched(["status", "--watch", "100ms", "--json"], 2);
  const [first, second, end] = lines.split("\n");
  for (const line of [first, second]) expect(JSON.parse(line ?? "")).toHaveProperty("node");
  expect(end).toBe("");
});

test("a proxy that is restarted is told, and seen again", async () => {
  const { pages } = await watched(["nodes", "-w", "100ms"], 3, async (shown) => {
    if (shown === 1) await api.close();
    if (shown === 2) await listen();
  });
  expect(pages[1]).toMatch(/^No proxy answers at /);
  expect(pages[2]).toBe(pages[0]);
});

test("a proxy that does not run at first is an error", async () => {
  await api.close();
  const { pages, error, exit } = await watched(["nodes", "--watch"], 1);
  expect(pages).toEqual([]);
  expect(error).toMatch(/^sapwood: No proxy answers at /);
  expect(exit).toBe(1);
});

test.each(["soon", "0", "99ms"])("the interval %s is refused", async (interval) => {
  const { error, exit } = await watched(["nodes", "--watch", interval], 1);
  expect(error).toBe(`sapwood: --watch: expected an interval of 100ms or more, found "${interval}".\n`);
  expect(exit).toBe(2);
});

test.each([
  ["a terminal of three lines", true, "\u001b[H\u001b[J1\n2"],
  ["no terminal", false, "1\n2\n3\n"],
])("%s gets what fits", async (_, isTTY, expected) => {
  const { write, rows, isTTY: before } = process.stdout;
  let out = "";
  try {
    Object.assign(process.stdout, {
      isTTY,
      rows: 3,
      write: (text: string, written: () => void) => {
        out += text;
        written();
        return true;
      },
    });
    await processTerminal(true).printPage(["1\n2", "\n3\n"]);
  } finally {
    Object.assign(process.stdout, { write, rows, isTTY: before });
  }
  expect(out).toBe(expected);
});
