// Several processes that want to take over at once, from a running one whose parts are played: one gets what there is, and
// the others are told. Sockets, locks and messages are real.
import { mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { httpStatusOf, SapwoodError } from "../../../../src/base/errors.ts";
import { createLogger } from "../../../../src/base/log.ts";
import { ChangeGate } from "../../../../src/control/api/change-gate.ts";
import { HandOver } from "../../../../src/node/takeover/hand-over.ts";
import { Takeover } from "../../../../src/node/takeover/takeover.ts";
import { requestUpgrade } from "../../../../src/node/takeover/upgrade.ts";

const AT_ONCE = 4;
const UNDER_WAY = expect.objectContaining({ message: expect.stringContaining("Another takeover") });

let folder: string;
let socket: string;
let server: Server;
let handOver: HandOver;
let changes: ChangeGate;
let told: string[];
let isHeld: boolean;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-hand-over-"));
  socket = join(folder, "sapwood.sock");
  changes = new ChangeGate();
  told = [];
  isHeld = false;
  const device = openSync("/dev/null", "r");
  handOver = new HandOver({
    ...{ socket, version: "1", log: createLogger("silent") },
    tell: ({ kind }) => told.push(kind),
    parts: {
      ...{ tun: [device], sockets: [device], flowsLock: undefined, changes },
      ...{ stateLock: () => undefined, refusal: () => undefined, generation: () => 1, packetsPassed: () => 0 },
      ...{ flows: () => 0, leaveNetwork: () => Promise.resolve(), resumeNetwork: () => undefined },
      holdWorkers: () => {
        isHeld = true;
        return Promise.resolve();
      },
      releaseWorkers: () => {
        isHeld = false;
      },
      ...{ closeListeners: () => Promise.resolve(), openListeners: () => Promise.resolve(), clear: () => undefined },
    },
  });
  server = createServer((_, response) => {
    try {
      handOver.begin();
      response.end("{}");
    } catch (error) {
      if (!(error instanceof SapwoodError)) throw error;
      response.statusCode = httpStatusOf(error.code);
      response.end(JSON.stringify({ error: { code: error.code, message: error.message } }));
    }
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
});

afterEach(async () => {
  await handOver.close();
  server.close();
  rmSync(folder, { recursive: true });
});

test("of several processes that take over at once one gets the descriptors, and the others are told", async () => {
  const begun = await Promise.allSettled(Array.from({ length: AT_ONCE }, () => Takeover.begin(socket, "2")));
  const won = begun.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const lost = begun.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
  expect(lost).toEqual(Array(AT_ONCE - 1).fill(UNDER_WAY));
  expect(won).toHaveLength(1);
  won[0]?.fail("it was enough");
  await expect.poll(() => told).toEqual(["takeover-failed"]);
  expect(readdirSync(folder)).toEqual([basename(socket)]);
  const next = await Takeover.begin(socket, "2"); // nothing of the others is in its way
  next.fail("it was enough");
});

test("of several upgrades at once one starts its version, and the others are told", async () => {
  const program = join(folder, "broken.mjs");
  writeFileSync(program, "setTimeout(() => process.exit(3), 500);");
  const upgrade = () => requestUpgrade(socket, { node: process.execPath, program });
  const done = await Promise.allSettled(Array.from({ length: AT_ONCE }, upgrade));
  const reasons = done.map((one) => (one.status === "rejected" ? (one.reason as Error).message : "done"));
  expect(reasons.filter((reason) => reason.includes("ended with status 3"))).toHaveLength(1);
  expect(reasons.filter((reason) => reason.includes("Another takeover"))).toHaveLength(AT_ONCE - 1);
});

test("changes that another process would not know of are ended before, and refused until it is over", async () => {
  let isLoaded = false;
  const loading = changes.run("modules", async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    isLoaded = true;
  });
  const next = await Takeover.begin(socket, "2");
  expect(isLoaded).toBe(true);
  await loading;
  const refused = { code: "already-running", message: expect.stringContaining("ask again") };
  await expect(changes.run("modules", () => 1)).rejects.toMatchObject(refused);
  expect(await changes.run("tables", () => 1)).toBe(1);
  await next.holdRunning();
  expect(isHeld).toBe(true);
  await expect(changes.run("tables", () => 1)).rejects.toMatchObject(refused);
  next.fail("it was enough");
  await expect.poll(() => told).toEqual(["takeover-failed"]);
  expect(isHeld).toBe(false);
  expect(await changes.run("modules", () => 1)).toBe(1);
});

test("a process that is stopped meanwhile keeps nothing for who was about to take over, and says so", async () => {
  const next = await Takeover.begin(socket, "2");
  await handOver.close();
  await expect(next.holdRunning()).rejects.toThrow("is being stopped");
  await expect(Takeover.begin(socket, "2")).rejects.toThrow("is being stopped");
});
