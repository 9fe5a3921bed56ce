// The readers of files and of messages in bytes: captures, modules, health pages, messages of a takeover.
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodePage, encodePages, isCovered } from "../../../src/control/health/health-page.ts";
import { interfaceBlock, packetBlock, sectionBlock } from "../../../src/control/observe/pcapng.ts";
import type { PcapngPacket } from "../../../src/control/replay/pcapng-reader.ts";
import { PcapngReader } from "../../../src/control/replay/pcapng-reader.ts";
import { datagramOf, frameOf } from "../../../src/control/replay/recorded-packet.ts";
import { TimeOrder } from "../../../src/control/replay/time-order.ts";
import { POLICY_SHAPE } from "../../../src/dataplane/modules/policy-module.ts";
import { builtModulePath, compileBytes, ENGINE_SHAPE, type ModuleShape } from "../../../src/dataplane/modules/wasm.ts";
import { Answering, Asking } from "../../../src/model/takeover-messages.ts";
import { Channel } from "../../../src/node/takeover/channel.ts";
import { MessageSocket } from "../../../src/sys/message-socket.ts";
import { packet } from "../packet-builder.ts";
import { Fault, type Reader, requireRefusal, takesOrRefuses } from "./reader.ts";

const PIECE = 1000;
const TUN_MTU = 1400;

function pcapngReader(): Reader {
  const inner = packet().ip("10.18.3.1", "10.30.0.2").udp({ sport: 5000, dport: 53 }).payload(20).bytes();
  const outer = packet().ip("192.0.2.2", "192.0.2.11").udp({ sport: 50_103, dport: 50_103 }).payload(inner).bytes();
  const block = (bytes: Uint8Array, index: number, isInbound: boolean) =>
    packetBlock({
      ...{ interface: index, timeUs: 2 ** 50 + index, parts: [bytes], length: bytes.length },
      ...{ isInbound, comment: "verdict=sent; service=b" },
    });
  const interfaces = [interfaceBlock("tun", 0), interfaceBlock("tunnel", 0)];
  const packets = [block(inner, 0, true), block(outer, 1, true), block(outer, 1, false)];
  return {
    name: "pcapng",
    seeds: [Buffer.concat([sectionBlock("test"), ...interfaces, ...packets])],
    words: ["\n\r\r\n", "M<+\x1a", "\x1a+<M", "tunnel", "\x09\0\x01\0\xff\0\0\0", "\x0e\0\x08\0"],
    read: (input) => {
      const order = new TimeOrder<PcapngPacket>();
      let length = 0;
      const take = ({ bytes, number }: PcapngPacket): void => {
        length += bytes.length;
        datagramOf(bytes);
        if (frameOf(bytes, TUN_MTU).length !== bytes.length + 10) throw new Fault(`the frame of packet ${number}`);
      };
      takesOrRefuses(() => {
        const reader = new PcapngReader("given");
        for (let at = 0; at < input.length; at += PIECE) {
          const piece = Buffer.from(input.subarray(at, at + PIECE));
          for (const one of reader.add(piece)) for (const next of order.add(one)) take(next);
        }
        reader.end();
      });
      for (const next of order.rest()) take(next);
      if (length > input.length) throw new Fault(`${length} bytes of packets in a file of ${input.length}`);
    },
  };
}

function moduleReader(name: string, shape: ModuleShape, built: readonly string[], words: readonly string[]): Reader {
  return {
    name,
    seeds: built.map((path) => readFileSync(builtModulePath(path))),
    words: [...words, "\0asm\x01\0\0\0", "\x00", "\x7f", "\xff\xff\xff\xff\x0f", "\x80\x80\x80\x80\x10"],
    read: async (input) => {
      try {
        await compileBytes(input, shape, "given");
      } catch (error) {
        requireRefusal(error);
      }
    },
  };
}

const healthPageReader: Reader = {
  name: "health-page",
  seeds: encodePages(["00000000000000000000ffff0a1e0003", "fdff0000000000000000000000000003"], 2),
  words: [],
  read: (input) => {
    const page = decodePage(input);
    if (page === undefined) return;
    if (page.page >= page.pages) throw new Fault(`page ${page.page} of ${page.pages}`);
    for (const key of page.unhealthy) isCovered(page, key);
  },
};

/** A message to the process that runs, with as many descriptors as its first byte says. */
async function takeoverReader(): Promise<Reader> {
  const folder = mkdtempSync(join(tmpdir(), "sapwood-fuzz-"));
  const path = join(folder, "messages");
  const listener = MessageSocket.listen(path);
  const near = MessageSocket.connect(path);
  const far = listener.accept();
  if (far === undefined) throw new Error("nobody connected");
  const channels = [new Channel(far, Asking), new Channel(far, Answering)];
  const descriptor = openSync(folder, "r");
  const messages = [
    { kind: "takeOver", protocol: 1, version: "0.2.0" },
    { kind: "start", node: "/usr/bin/node", program: "main.js" },
    { kind: "flowing", pauseMs: 1.5, flows: 7 },
    { kind: "descriptors", protocol: 1, version: "1", pid: 7, generation: 1, queues: 1, locks: ["flows"] },
    { kind: "held", generation: 3, passes: true },
    { kind: "done", from: "1", to: "2", pid: 3, pauseMs: 1, flows: 2 },
    { kind: "failed", reason: "no" },
  ];
  const open = (): number => readdirSync("/proc/self/fd").length;
  return {
    name: "takeover",
    seeds: messages.map((message, i) => Buffer.from(`${String.fromCharCode(i)}${JSON.stringify(message)}`)),
    words: ["prepared", "ready", "released", "1e999", '"queues":1000000'],
    read: async (input) => {
      const before = open();
      for (const channel of channels) {
        near.send(Buffer.from(input.subarray(1)), Array<number>((input[0] ?? 0) % 4).fill(descriptor));
        try {
          const received = await channel.receive(1000);
          if (received === "closed") throw new Fault("a message was taken for the end");
          if (received.kind !== "failed" && JSON.stringify(received).length > TAKEN)
            throw new Fault("a long message was taken");
        } catch (error) {
          if (error instanceof Fault) throw error;
          if ((error as Error).message.length > SENTENCE) throw new Fault("a long refusal", { cause: error });
        }
      }
      if (open() !== before) throw new Fault(`${open() - before} descriptors stay open`);
    },
    close: async () => {
      closeSync(descriptor);
      for (const socket of [near, far, listener]) socket.close();
      rmSync(folder, { recursive: true });
    },
  };
}

const SENTENCE = 2000;
/** Two paths, each character escaped. */
const TAKEN = 2 * 6 * 4096 + 200;

export const FILE_READERS: Readonly<Record<string, () => Promise<Reader>>> = {
  "pcapng": async () => pcapngReader(),
  "policy": async () =>
    moduleReader("policy", POLICY_SHAPE, ["policies/random", "policies/round-robin"], ["choose", "memory", "update"]),
  "engine-module": async () => moduleReader("engine-module", ENGINE_SHAPE, ["policies/random"], ["egress", "env"]),
  "health-page": async () => healthPageReader,
  "takeover": takeoverReader,
};
