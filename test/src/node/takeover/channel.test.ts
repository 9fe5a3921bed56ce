// What the other process of a takeover may say: anything, and it costs neither descriptors nor the event loop.
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Answering, Asking } from "../../../../src/model/takeover-messages.ts";
import { Channel } from "../../../../src/node/takeover/channel.ts";
import { MessageSocket } from "../../../../src/sys/message-socket.ts";

const LIMIT_MS = 60_000;

let folder: string;
let sockets: MessageSocket[];
let file: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-channel-"));
  sockets = [];
  file = openSync(folder, "r");
});
afterEach(() => {
  closeSync(file);
  for (const socket of sockets) socket.close();
  rmSync(folder, { recursive: true });
});

/** The other process's end, and the running one's. */
function pair(): { readonly other: MessageSocket; readonly end: MessageSocket } {
  const listener = MessageSocket.listen(join(folder, "socket"));
  const other = MessageSocket.connect(join(folder, "socket"));
  const end = listener.accept();
  if (end === undefined) throw new Error("nobody connected");
  sockets.push(listener, other, end);
  return { other, end };
}

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

test("descriptors that come with a message that has none are closed", async () => {
  const { other, end } = pair();
  const channel = new Channel(end, Asking);
  const before = openDescriptors();
  for (const message of ['{"kind":"prepared"}', '{"kind":"failed","reason":"no"}', '{"kind":"unknown"}', ""]) {
    other.send(Buffer.from(message), [file, file]);
    await channel.receive(LIMIT_MS).catch(() => undefined);
  }
  expect(openDescriptors()).toBe(before);
});

test("those that are expected are the receiver's", async () => {
  const { other, end } = pair();
  const message = { kind: "descriptors", protocol: 1, version: "1", pid: 7, generation: 1, queues: 1, locks: [] };
  other.send(Buffer.from(JSON.stringify(message)), [file, file]);
  const received = await new Channel(end, Answering).receiveDescriptors(LIMIT_MS);
  if (received === "closed") throw new Error("closed");
  expect(received.message).toEqual(message);
  expect(received.descriptors).toHaveLength(2);
  received.descriptors.forEach(closeSync);
});

test("a message of no bytes is refused like any that nobody knows, and is not taken for the end", async () => {
  const { other, end } = pair();
  const channel = new Channel(end, Asking);
  other.send(new Uint8Array());
  await expect(channel.receive(LIMIT_MS)).rejects.toThrow("it said something that this version does not know");
  other.send(Buffer.from("\u001b[2J\n{"));
  await expect(channel.receive(LIMIT_MS)).rejects.toThrow("does not know: \\u001b[2J\\u000a{");
});

test("waiting for the other process's end leaves the event loop its turns, whatever it says until then", async () => {
  const { other, end } = pair();
  const channel = new Channel(end, Asking);
  let turns = 0;
  const talk = (): void => {
    turns += 1;
    if (turns === 50) return other.close();
    other.send(Buffer.from("x"));
    setImmediate(talk);
  };
  setImmediate(talk);
  expect(await channel.ended(LIMIT_MS)).toBe(true);
  expect(turns).toBe(50);
});

test.each([
  { kind: "flowing", pauseMs: -1, flows: 1 },
  { kind: "flowing", pauseMs: 1, flows: -1 },
  { kind: "takeOver", protocol: 1, version: "v".repeat(65) },
  { kind: "start", node: "/usr/bin/node\0", program: "main.js" },
  { kind: "start", node: "/usr/bin/node", program: "m".repeat(4097) },
])("%o is refused", async (message) => {
  const { other, end } = pair();
  other.send(Buffer.from(JSON.stringify(message)));
  await expect(new Channel(end, Asking).receive(LIMIT_MS)).rejects.toThrow("does not know");
});
