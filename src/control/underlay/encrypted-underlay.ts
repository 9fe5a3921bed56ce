// The underlay through WireGuard: who this node is for the others, which peers there are, and where in it each node is.
// A node is who its key says: its address inside is derived from the key, WireGuard lets nobody else send from there,
// and the tables know the node by that address alone.
//
// A node that gets a new key has two for a while, and everybody else has both (publicKey, nextPublicKey). It is at the
// address of the key that it used last: WireGuard's handshakes tell, so that no clocks need to agree.

import { SapwoodError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { Turns } from "../../base/turns.ts";
import type { KeyReport } from "../../model/reports.ts";
import type { Endpoint, Node } from "../../model/tables.ts";
import { TUNNEL_PREFIX, tunnelAddressOf, WIREGUARD_PORT } from "../../net/wireguard-key.ts";
import type { KeptState } from "../../sys/interface-state.ts";
import { attachFilter } from "../../sys/socket-filter.ts";
import { WireguardInterface, type WireguardPeer } from "../../sys/wireguard.ts";
import type { OwnUnderlay } from "../config/config.ts";
import { ensureKey, type KeyFiles, promoteNextKey, readKey } from "./key-file.ts";

/** Outer IPv6 and UDP headers, and WireGuard's own header and tag: 40 + 8 + 32. */
const WIREGUARD_OVERHEAD = 80;
const UNDERLAY_MTU_DEFAULT = 1500;
/** Inside, a packet of 1,280 bytes has to fit the tunnel (RFC 8200 section 5), which takes 48 more. */
const MTU_MIN = 1330;
/** How often to look which of its keys a node uses, while some node has two. */
const KEY_POLL_MS = 250;
/** Makes WireGuard shake hands with both keys of a node, so that the one in use is known without traffic. */
const KEEPALIVE_SECONDS = 1;
const RESTORE_DELAY_MS = 1000;

interface EncryptedUnderlayOptions {
  readonly device: string;
  readonly underlay: OwnUnderlay;
  readonly underlayMtu: number | undefined;
  readonly files: KeyFiles;
  readonly log: Logger;
}

export class EncryptedUnderlay {
  readonly mtu: number;
  readonly #options: EncryptedUnderlayOptions;
  readonly #nodes = new Map<string, Node>(); // those with a key
  readonly #clear = new Set<string>(); // ids of those that are reached in clear
  readonly #usesNext = new Set<string>(); // ids of nodes that were last heard of by their next key
  readonly #turns = new Turns(); // of whatever changes the interface itself
  #interface: WireguardInterface;
  #publicKey: string;
  #sockets: readonly number[] = [];
  #watch: NodeJS.Timeout | undefined;
  #onMoved: (ids: readonly string[]) => Promise<unknown> = () => Promise.resolve();
  #isClosed = false;

  private constructor(options: EncryptedUnderlayOptions, opened: WireguardInterface, publicKey: string, mtu: number) {
    this.#options = options;
    this.#interface = opened;
    this.#publicKey = publicKey;
    this.mtu = mtu;
  }

  /** Makes the key, if there is none yet, and the interface. Throws key-unusable, network-setup or missing-tool. */
  static async open(options: EncryptedUnderlayOptions): Promise<EncryptedUnderlay> {
    const publicKey = ensureKey(options.files.current);
    const mtu = Math.max(MTU_MIN, (options.underlayMtu ?? UNDERLAY_MTU_DEFAULT) - WIREGUARD_OVERHEAD);
    let lost = (): void => undefined;
    const opened = await openInterface(options, publicKey, mtu, () => lost());
    const underlay = new EncryptedUnderlay(options, opened, publicKey, mtu);
    lost = () => underlay.#onLost();
    return underlay;
  }

  /** Where a node's tunnel is: inside WireGuard, unless the node is reached in clear. */
  endpointOf({ id, underlay, publicKey, nextPublicKey }: Node): Endpoint {
    const key = this.#usesNext.has(id) ? (nextPublicKey ?? publicKey) : publicKey;
    if (underlay.encryption === "none" || key === undefined) return underlay;
    return { address: tunnelAddressOf(key), port: underlay.port };
  }

  /** Is told of nodes that moved inside, because they use another key than before. */
  onMoved(listener: (ids: readonly string[]) => Promise<unknown>): void {
    this.#onMoved = listener;
  }

  /** Restricts the tunnel's sockets to what comes out of WireGuard, and to clear datagrams while a node needs them. */
  restrict(sockets: readonly number[]): void {
    this.#sockets = sockets;
    this.#attachFilters();
  }

  /** Throws tables-invalid when one of the nodes has this node's key. */
  requireOthers(nodes: readonly Node[]): void {
    const own = nodes.find((node) => keysOf(node).includes(this.#publicKey));
    if (own !== undefined) {
      throw new SapwoodError(
        "tables-invalid",
        `The node ${own.id} must have a public key of its own; found that of this node.`,
      );
    }
  }

  /** Before nodes come into force: they become peers. Throws tables-invalid or network-setup. */
  async admit(nodes: readonly Node[]): Promise<void> {
    this.requireOthers(nodes);
    await this.#interface.setPeers(nodes.flatMap((node) => this.#peersOf(node)));
  }

  /** After nodes came into force, or went. */
  async settle(set: readonly Node[], removed: readonly string[]): Promise<void> {
    const gone = new Set<string>();
    for (const id of [...removed, ...set.map((node) => node.id)]) {
      for (const key of keysOf(this.#nodes.get(id))) gone.add(key);
      this.#nodes.delete(id);
      this.#clear.delete(id);
    }
    for (const id of removed) this.#usesNext.delete(id);
    for (const node of set) {
      for (const key of keysOf(node)) gone.delete(key);
      if (node.underlay.encryption === "none") this.#clear.add(node.id);
      else this.#nodes.set(node.id, node);
      if (node.nextPublicKey === undefined) this.#usesNext.delete(node.id);
    }
    // A key that moved to another node in the same change stays.
    for (const node of this.#nodes.values()) for (const key of keysOf(node)) gone.delete(key);
    this.#attachFilters();
    await this.#interface.removePeers([...gone]);
    this.#watchKeys();
  }

  report(): KeyReport {
    const nextPublicKey = readKey(this.#options.files.next) ?? null;
    return {
      publicKey: this.#publicKey,
      nextPublicKey,
      address: tunnelAddressOf(this.#publicKey),
      device: this.#options.device,
      port: this.#options.underlay.wireguardPort,
      backend: this.#interface.backend,
    };
  }

  /** Uses the next key from now on. Throws not-found, key-unusable or network-setup; then the key is as before. */
  activateNextKey(): Promise<KeyReport> {
    return this.#turns.take(() => this.#activateNextKey());
  }

  /** Interfaces whose changes concern this. */
  get indices(): readonly number[] {
    return [this.#interface.index];
  }

  hasDrifted(): boolean {
    return this.#interface.hasDrifted();
  }

  /** Puts back what somebody changed of the interface. */
  check(): Promise<KeptState> {
    return this.#turns.take(() => this.#check());
  }

  async #check(): Promise<KeptState> {
    const state = await this.#interface.check();
    if (state !== undefined) return state;
    const gone = { isUp: false, routes: [], repaired: [], problems: [], hasActed: true };
    const { device } = this.#options;
    // wireguard-go ends when its interface is deleted, and is started again then.
    if (this.#isClosed || this.#interface.backend !== "kernel") {
      return { ...gone, problems: [`The WireGuard interface "${device}" is gone.`] };
    }
    await this.#restore();
    return { ...gone, isUp: true, repaired: [`the WireGuard interface ${device} was gone`] };
  }

  async #activateNextKey(): Promise<KeyReport> {
    const { files, log } = this.#options;
    const publicKey = readKey(files.next);
    if (publicKey === undefined) {
      throw new SapwoodError("not-found", `There is no next key at ${files.next}: make one with "sapwood key next".`);
    }
    try {
      await this.#interface.setIdentity(files.next, tunnelAddressOf(publicKey));
      promoteNextKey(files);
    } catch (error) {
      await this.#interface.setIdentity(files.current, tunnelAddressOf(this.#publicKey));
      throw error;
    }
    this.#publicKey = publicKey;
    log.info({ publicKey }, "the encrypted underlay uses the next key");
    return this.report();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#watch);
    await this.#interface.close();
  }

  #peersOf(node: Node): WireguardPeer[] {
    const { underlay } = node;
    if (underlay.encryption === "none") return [];
    const keepaliveSeconds = node.nextPublicKey === undefined ? 0 : KEEPALIVE_SECONDS;
    return keysOf(node).map((publicKey) => ({
      publicKey,
      address: underlay.address,
      port: underlay.wireguardPort ?? WIREGUARD_PORT,
      inside: tunnelAddressOf(publicKey),
      keepaliveSeconds,
    }));
  }

  #attachFilters(): void {
    for (const fd of this.#sockets) {
      attachFilter(fd, {
        interfaceIndex: this.#interface.index,
        prefix: TUNNEL_PREFIX.bytes,
        isClearTaken: this.#clear.size > 0,
      });
    }
  }

  /** While a node has two keys: looks which one it uses. */
  #watchKeys(): void {
    const isNeeded = [...this.#nodes.values()].some(({ nextPublicKey }) => nextPublicKey !== undefined);
    if (!isNeeded || this.#isClosed || this.#watch !== undefined) return;
    this.#watch = setTimeout(() => {
      this.#followKeys()
        .catch((error: unknown) => this.#options.log.error({ err: error }, "could not see which keys the nodes use"))
        .finally(() => {
          this.#watch = undefined;
          this.#watchKeys();
        });
    }, KEY_POLL_MS);
  }

  async #followKeys(): Promise<void> {
    const handshakes = await this.#interface.latestHandshakes();
    const lastUse = (key: string | undefined): number => (key === undefined ? 0 : (handshakes.get(key) ?? 0));
    const moved: string[] = [];
    for (const { id, publicKey, nextPublicKey } of this.#nodes.values()) {
      const [current, next] = [lastUse(publicKey), lastUse(nextPublicKey)];
      if (current === next && (next === 0 || this.#usesNext.has(id))) continue;
      const usesNext = next >= current;
      if (usesNext === this.#usesNext.has(id)) continue;
      if (usesNext) this.#usesNext.add(id);
      else this.#usesNext.delete(id);
      moved.push(id);
      this.#options.log.info({ node: id, publicKey: usesNext ? nextPublicKey : publicKey }, "a node uses another key");
    }
    if (moved.length > 0) await this.#onMoved(moved);
  }

  /** wireguard-go ended: everything that it knew is set up anew. */
  #onLost(): void {
    if (this.#isClosed) return;
    const { log } = this.#options;
    log.error("wireguard-go ended; the encrypted underlay is set up anew");
    this.#turns
      .take(() => this.#restore())
      .catch((error: unknown) => {
        log.error({ err: error }, "the encrypted underlay could not be set up anew; trying again");
        setTimeout(() => this.#onLost(), RESTORE_DELAY_MS).unref();
      });
  }

  async #restore(): Promise<void> {
    const opened = await openInterface(this.#options, this.#publicKey, this.mtu, () => this.#onLost());
    if (this.#isClosed) return opened.close();
    this.#interface = opened;
    this.#attachFilters();
    await opened.setPeers([...this.#nodes.values()].flatMap((node) => this.#peersOf(node)));
  }
}

function keysOf(node: Node | undefined): string[] {
  return [node?.publicKey, node?.nextPublicKey].filter((key) => key !== undefined);
}

function openInterface(
  { device, underlay, files }: EncryptedUnderlayOptions,
  publicKey: string,
  mtu: number,
  onLost: () => void,
): Promise<WireguardInterface> {
  return WireguardInterface.open({
    device,
    backend: underlay.wireguardBackend,
    port: underlay.wireguardPort,
    mtu,
    privateKeyFile: files.current,
    address: tunnelAddressOf(publicKey),
    prefix: TUNNEL_PREFIX.text,
    onLost,
  });
}
