// Asks the other nodes from the tunnel's own address and port, as long as no proxy has it: they answer nobody else.

import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { setTimeout } from "node:timers/promises";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import type { Peer } from "./settings.ts";

/** Probes to each node; one that is not answered may be lost. */
const TRIES = 5;
const PAUSE_MS = 200;
/** Nodes that are asked at once. */
const PEERS_MAX = 256;

interface AskedPeer {
  readonly id: string;
  readonly rttMs: number | undefined;
}

/** The first round trip to each of the first nodes. Rejects when the port cannot be opened. */
export async function askPeers(peers: readonly Peer[], bind: string, port: number): Promise<AskedPeer[]> {
  const asked = new Asked(peers.slice(0, PEERS_MAX));
  const socket = await boundSocket(bind, port);
  try {
    socket.on("message", (message) => asked.take(message));
    socket.on("error", () => undefined); // nobody listens there, say: then nobody answers
    for (let round = 0; round < TRIES && asked.waiting.length > 0; round++) {
      for (const { address, port: to, probe } of asked.send())
        socket.send(probe, to, wireAddress(address, bind), () => undefined);
      await setTimeout(PAUSE_MS);
    }
    return asked.results();
  } finally {
    socket.close();
  }
}

/** What was sent to whom, and who answered. */
class Asked {
  readonly #peers: readonly Peer[];
  readonly #sent = new Map<string, { readonly id: string; readonly atMs: number }>();
  readonly #answered = new Map<string, number>();

  constructor(peers: readonly Peer[]) {
    this.#peers = peers;
  }

  get waiting(): readonly Peer[] {
    return this.#peers.filter(({ id }) => !this.#answered.has(id));
  }

  *send(): Generator<Peer & { readonly probe: Buffer }> {
    for (const peer of this.waiting) {
      const nonce = randomBytes(8);
      this.#sent.set(nonce.toString("hex"), { id: peer.id, atMs: performance.now() });
      yield { ...peer, probe: request(nonce) };
    }
  }

  take(message: Buffer): void {
    if (message.length < ProbeLayout.SIZE || message.readUInt16LE(0) !== ProbeLayout.MAGIC) return;
    if (message.readUInt8(ProbeLayout.TYPE_AT) !== ProbeLayout.REPLY) return;
    const sent = this.#sent.get(message.subarray(ProbeLayout.NONCE_AT, ProbeLayout.NONCE_AT + 8).toString("hex"));
    if (sent !== undefined && !this.#answered.has(sent.id)) this.#answered.set(sent.id, performance.now() - sent.atMs);
  }

  results(): AskedPeer[] {
    return this.#peers.map(({ id }) => ({ id, rttMs: this.#answered.get(id) }));
  }
}

function request(nonce: Buffer): Buffer {
  const probe = Buffer.alloc(ProbeLayout.SIZE);
  probe.writeUInt16LE(ProbeLayout.MAGIC);
  probe.writeUInt8(ProbeLayout.VERSION, ProbeLayout.VERSION_AT);
  probe.writeUInt8(ProbeLayout.REQUEST, ProbeLayout.TYPE_AT);
  nonce.copy(probe, ProbeLayout.NONCE_AT);
  return probe;
}

/** A socket of IPv6 sends to IPv4 by mapped addresses (RFC 3493 section 3.7). */
function wireAddress(address: string, bind: string): string {
  return bind.includes(":") && !address.includes(":") ? `::ffff:${address}` : address;
}

function boundSocket(address: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.once("error", reject);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.removeListener("error", reject);
      resolve(socket);
    });
  });
}
