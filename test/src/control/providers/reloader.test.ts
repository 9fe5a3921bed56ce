// What a reload applies, logs and remembers, with a store made of a counter.

import { beforeEach, expect, test } from "vitest";
import { SapwoodError } from "../../../../src/base/errors.ts";
import { createLogger } from "../../../../src/base/log.ts";
import { type Reloadable, Reloader } from "../../../../src/control/providers/reloader.ts";
import type { Preview } from "../../../../src/control/tables/table-store.ts";
import type { Tables, TablesPatch } from "../../../../src/model/tables.ts";

const FILE = "/etc/sapwood/node.yaml";
const AT = "2026-01-02T03:04:05.000Z";
const TABLES: Tables = {
  nodes: [{ id: "node-b", underlay: { address: "192.0.2.2", port: 50103 } }],
  services: [{ name: "b", addresses: [], instances: [] }],
};
const PATCH: TablesPatch = { nodes: [], services: [], remove: { nodes: [], services: ["a"] } };
const STARTED: Reloadable = {
  tables: { nodes: [], services: [] },
  fixed: { tun: { mtu: 1450 }, node: { id: "a" } },
  logLevel: "info",
};
const OTHER_MTU: Reloadable = { ...STARTED, tables: TABLES, fixed: { tun: { mtu: 1400 }, node: { id: "a" } } };

let applied: (Tables | TablesPatch)[];
let prepared: Reloadable[];
let appliedWhenPrepared: number | undefined;
let refusal: Error | undefined;
let lines: Record<string, unknown>[];
let reloader: Reloader<Reloadable>;

beforeEach(() => {
  applied = [];
  prepared = [];
  refusal = undefined;
  lines = [];
  reloader = createReloader(false);
});

async function take(change: Tables | TablesPatch): Promise<{ generation: number }> {
  if (refusal !== undefined) throw refusal;
  applied.push(change);
  return { generation: 1 + applied.length };
}

/** Everything is new. */
async function preview(change: Tables | TablesPatch): Promise<Preview> {
  if (refusal !== undefined) throw refusal;
  return { generation: 1 + applied.length, before: STARTED.tables, after: change };
}

function createReloader(isLevelFixed: boolean): Reloader<Reloadable> {
  return new Reloader({
    file: FILE,
    started: STARTED,
    target: {
      get generation() {
        return 1 + applied.length;
      },
      apply: take,
      merge: (change) => take(typeof change === "function" ? change(TABLES) : change),
      previewApply: preview,
      previewMerge: preview,
      sizes: { nodes: TABLES.nodes.length, services: TABLES.services.length, instances: 0 },
    },
    async prepare(config) {
      prepared.push(config);
      appliedWhenPrepared = applied.length;
    },
    parseTables: async (text) => {
      if (text === "bad") throw new SapwoodError("tables-invalid", "services: expected a list, found 5.");
      return TABLES;
    },
    parseTablesPatch: async (text) => {
      if (text === "bad") throw new SapwoodError("tables-invalid", "remove: expected fields, found 5.");
      return PATCH;
    },
    log: createLogger("info", { write: (line) => void lines.push(JSON.parse(line)) }),
    isLevelFixed,
    clock: () => new Date(AT),
  });
}

test("nothing is remembered before the first attempt", () => {
  expect(reloader.last).toBeUndefined();
});

test("a config is applied, logged with its sizes, and remembered", async () => {
  await reloader.onContent({ ...STARTED, tables: TABLES });
  expect(applied).toEqual([TABLES]);
  expect(reloader.last).toEqual({ at: AT, source: FILE, ok: true, generation: 2, needRestart: [] });
  expect(lines).toMatchObject([{ level: "info", file: FILE, generation: 2, nodes: 1, services: 1, instances: 0 }]);
});

test("what the tables of a config need is made ready before they are applied", async () => {
  const config = { ...STARTED, tables: TABLES };
  await reloader.onContent(config);
  expect(prepared).toEqual([config]);
  expect(appliedWhenPrepared).toBe(0);
});

test("settings that need a restart are named, and the tables are applied all the same", async () => {
  await reloader.onContent(OTHER_MTU);
  expect(applied).toEqual([TABLES]);
  expect(reloader.last).toMatchObject({ ok: true, needRestart: ["tun.mtu"] });
  expect(lines[1]).toMatchObject({ level: "warn", fields: ["tun.mtu"] });
});

test("a setting that is put back needs no restart any more", async () => {
  await reloader.onContent(OTHER_MTU);
  await reloader.onContent({ ...STARTED, tables: TABLES });
  expect(reloader.last).toMatchObject({ ok: true, needRestart: [] });
});

test.each([
  [false, 1],
  [true, 2],
])("the file's log level is taken over unless the run has its own (%s)", async (isLevelFixed, lineCount) => {
  const other = createReloader(isLevelFixed);
  await other.onContent({ ...OTHER_MTU, logLevel: "warn" });
  expect(lines).toHaveLength(lineCount); // at "warn" the line that says that tables were applied is left out
});

test("a refused file is logged with its sentence, and the generation stays", () => {
  const message = "node.yaml:12: services[0].name: expected a name, found 5.";
  reloader.onRefused(new SapwoodError("config-invalid", message));
  expect(applied).toEqual([]);
  expect(reloader.last).toMatchObject({ ok: false, generation: 1, error: { code: "config-invalid", message } });
  expect(reloader.ofFile).toEqual({ refused: { code: "config-invalid", message, details: [] } });
  expect(lines).toMatchObject([{ level: "error", code: "config-invalid", generation: 1 }]);
  expect(lines[0]?.["msg"]).toContain(message);
});

test("what the file was refused for stays as long as the file, whatever others change", async () => {
  await reloader.applyText("bad").catch(() => undefined);
  expect(reloader.ofFile).toEqual({});
  reloader.onRefused(new SapwoodError("config-invalid", "no"));
  await reloader.applyText("good");
  expect(reloader.ofFile).toMatchObject({ refused: { message: "no" } });
  await reloader.onContent(OTHER_MTU);
  expect(reloader.ofFile).toEqual({ needRestart: ["tun.mtu"] });
  await reloader.onContent({ ...STARTED, tables: TABLES });
  expect(reloader.ofFile).toEqual({});
});

test("a text from the control socket is applied and answered", async () => {
  expect(await reloader.applyText("good")).toEqual({ generation: 2, nodes: 1, services: 1, instances: 0 });
  expect(reloader.last).toMatchObject({ ok: true, source: "control socket", generation: 2 });
});

test("a refused text is remembered and thrown to the one who sent it", async () => {
  await expect(reloader.applyText("bad")).rejects.toMatchObject({ code: "tables-invalid" });
  expect(reloader.last).toMatchObject({ ok: false, source: "control socket", error: { code: "tables-invalid" } });
});

test("a patch from the control socket is merged and answered with what is in force then", async () => {
  expect(await reloader.mergeText("good")).toEqual({ generation: 2, nodes: 1, services: 1, instances: 0 });
  expect(applied).toEqual([PATCH]);
  expect(reloader.last).toMatchObject({ ok: true, source: "control socket", generation: 2 });
  await expect(reloader.mergeText("bad")).rejects.toMatchObject({ code: "tables-invalid" });
  expect(reloader.last).toMatchObject({ ok: false, error: { code: "tables-invalid" } });
});

test("a text that the store refuses is remembered as well", async () => {
  refusal = new SapwoodError("capacity-exceeded", "tables.addresses: expected at most 5, found 6.");
  await expect(reloader.applyText("good")).rejects.toBe(refusal);
  expect(reloader.last).toMatchObject({ ok: false, generation: 1, error: { code: "capacity-exceeded" } });
});

test("a preview tells the difference, and neither applies nor is remembered", async () => {
  const expected = {
    generation: 1,
    nodes: { added: ["node-b"], removed: [], changed: [] },
    services: { added: ["b"], removed: [], changed: [] },
  };
  expect(await reloader.previewText("good")).toEqual(expected);
  expect((await reloader.previewMerge("good")).nodes).toEqual({ added: [], removed: [], changed: [] });
  await expect(reloader.previewText("bad")).rejects.toThrow("expected a list");
  expect([applied, lines, reloader.last]).toEqual([[], [], undefined]);
});
