// What the other nodes say of the health of their instances: asks for their pages when what they tell has changed, and
// believes them about their own instances alone. Promises: a page that is lost is asked for again; a node that tells
// nothing, or no more, leaves its instances unknown; without instances of others to hear of there is no timer.

import { HealthPageReader, readToldRevision, wantHealthPage } from "../../memory/health-pages.ts";
import type { InstanceHealthName } from "../../memory/instance-health.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { CheckedInstance } from "./health-book.ts";
import { decodePage, healthKey, isCovered } from "./health-page.ts";

const LOOK_PAUSE_MS = 200;
const REASON = "failed the checks of its node";

interface PeerHealthOptions {
  readonly shared: SharedMemory;
  readonly nodeIndex: (id: string) => number | undefined;
  readonly onWord: (checked: CheckedInstance, state: InstanceHealthName, reason: string | undefined) => void;
}

/** What was heard of a node. */
interface Peer {
  readonly instances: Map<CheckedInstance, string>; // with the key by which its node tells of it
  /** What was heard completely, 0 = nothing. */
  heard: number;
  /** The page that is asked for next, and the revision with which the round began; 0 = no round. */
  page: number;
  round: number;
  /** Instances came since the last round began. */
  isGrown: boolean;
  /** Something was said of its instances. */
  isHeard: boolean;
}

export class PeerHealth {
  readonly #options: PeerHealthOptions;
  readonly #reader: HealthPageReader;
  readonly #peers = new Map<string, Peer>(); // by node id
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PeerHealthOptions) {
    this.#options = options;
    this.#reader = new HealthPageReader(options.shared);
  }

  add(checked: CheckedInstance): void {
    const key = healthKey(checked.instance);
    if (key === undefined) return;
    const { node } = checked.instance;
    const peer = this.#peers.get(node) ?? newPeer();
    peer.instances.set(checked, key);
    peer.isGrown = true;
    this.#peers.set(node, peer);
    this.#timer ??= setInterval(() => this.look(), LOOK_PAUSE_MS).unref();
  }

  remove(checked: CheckedInstance): void {
    const { node } = checked.instance;
    const peer = this.#peers.get(node);
    peer?.instances.delete(checked);
    if (peer === undefined || peer.instances.size > 0) return;
    this.#peers.delete(node);
    const index = this.#options.nodeIndex(node);
    if (index !== undefined) wantHealthPage(this.#options.shared, index, undefined);
    if (this.#peers.size === 0) this.close();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  look(): void {
    const byIndex = new Map([...this.#peers].map(([id, peer]) => [this.#options.nodeIndex(id), peer]));
    for (const { node, revision, bytes } of this.#reader.take()) {
      const peer = byIndex.get(node);
      // Else it is of a node that had the index before, or too old.
      const isLatest = revision === readToldRevision(this.#options.shared, node);
      if (peer !== undefined && isLatest) this.#hear(peer, revision, bytes);
    }
    for (const [index, peer] of byIndex) if (index !== undefined) this.#ask(index, peer);
  }

  #ask(index: number, peer: Peer): void {
    const { shared, onWord } = this.#options;
    const told = readToldRevision(shared, index);
    if (told === 0) {
      if (peer.isHeard) for (const checked of peer.instances.keys()) onWord(checked, "unknown", undefined);
      Object.assign(peer, { heard: 0, page: 0, round: 0, isHeard: false });
    } else if (peer.round === 0 && (told !== peer.heard || peer.isGrown)) {
      Object.assign(peer, { page: 0, round: told, isGrown: false });
    }
    wantHealthPage(shared, index, peer.round === 0 ? undefined : peer.page);
  }

  #hear(peer: Peer, revision: number, bytes: Uint8Array): void {
    const page = decodePage(bytes);
    if (page === undefined) return;
    peer.isHeard = true;
    for (const [checked, key] of peer.instances) {
      if (!isCovered(page, key)) continue;
      const isUnhealthy = page.unhealthy.has(key);
      this.#options.onWord(checked, isUnhealthy ? "unhealthy" : "healthy", isUnhealthy ? REASON : undefined);
    }
    if (peer.round === 0 || page.page !== peer.page) return;
    if (page.page + 1 < page.pages) {
      peer.page += 1;
      return;
    }
    // What changed during the round is heard in the next one.
    Object.assign(peer, { heard: peer.round === revision ? revision : 0, page: 0, round: 0 });
  }
}

function newPeer(): Peer {
  return { instances: new Map(), heard: 0, page: 0, round: 0, isGrown: true, isHeard: false };
}
