// A TUN that outlives its process: a crash leaves the device, its addresses, its routes and its parameters, and the next
// start takes it over. Until then the kernel drops what is sent to it, without an error for the sender.
//
// The device has the name of its node as its alias (ip-link(8)). One without it, or with that of another node, is
// somebody else's and is never touched.

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { SapwoodError } from "../base/errors.ts";
import { ip, parseList } from "./ip-command.ts";
import { ifNametoindex } from "./libc.ts";
import { openTun, type Tun, type TunOptions } from "./tun.ts";

/** IFALIASZ (linux/if.h) without the final zero. */
const ALIAS_BYTES_MAX = 255;
/** A process that is killed goes on to have its files for a moment. */
const WAIT_MS = 5000;
const LOOK_MS = 20;

interface NodeTun {
  readonly tun: Tun;
  /** A process before left the device, with its addresses and routes. */
  readonly isAdopted: boolean;
  /** Why the device that a process before left could not be used and was made anew, as a clause. */
  readonly unusable: string | undefined;
}

/** What the kernel shows of a device. */
interface ListedTun {
  readonly index: number;
  readonly alias: string | undefined;
  readonly kind: string; // "tun"; empty: no kind that has a name
  readonly queues: number; // that processes hold
  /** Why its queues cannot be ours, as a clause. */
  readonly unusable: string | undefined;
}

/**
 * Opens the node's TUN: the one that a process before left, or a new one. Throws tun-unavailable when a device of that
 * name is somebody else's or is held by another process; it stays as it is.
 */
export async function openNodeTun(options: TunOptions, nodeId: string, waitMs = WAIT_MS): Promise<NodeTun> {
  const { name } = options;
  const giveUpAtMs = performance.now() + waitMs;
  let unusable: string | undefined;
  for (;;) {
    const found = await findTun(name);
    if (found === undefined) return { tun: openTun(options), isAdopted: false, unusable };
    requireOurs(name, found, nodeId);
    if (found.queues > 0) {
      if (performance.now() > giveUpAtMs) throw heldFailure(name);
      await sleep(LOOK_MS);
    } else if (found.unusable === undefined) {
      return { tun: await adopt(options, found.index), isAdopted: true, unusable };
    } else {
      ({ unusable } = found);
      await ip(["link", "delete", "dev", name]);
    }
  }
}

/** Throws tun-unavailable when a node could not have a TUN of that name: a device is somebody else's, or is held. */
export async function expectTunFree(name: string, nodeId: string): Promise<void> {
  const found = await findTun(name);
  if (found === undefined) return;
  requireOurs(name, found, nodeId);
  if (found.queues > 0) throw heldFailure(name);
}

/** From now on the device outlives this process, marked as the node's. */
export async function keepTun(tun: Tun, nodeId: string): Promise<void> {
  await ip(["link", "set", "dev", tun.name, "alias", aliasOf(nodeId)]);
  tun.setPersistent(true);
}

/** Another process may have attached a queue since it was looked at; then both would get packets of the other. */
async function adopt(options: TunOptions, index: number): Promise<Tun> {
  const tun = openTun({ ...options, isLeft: true });
  try {
    const found = await findTun(options.name);
    if (found?.index !== index || found.queues !== options.queues) throw heldFailure(options.name);
    return tun;
  } catch (error) {
    tun.close();
    throw error;
  }
}

/** Undefined: there is no device of that name. */
async function findTun(name: string): Promise<ListedTun | undefined> {
  if (ifNametoindex(name) === 0) return undefined;
  try {
    return parseTun(await ip(["-details", "-json", "link", "show", "dev", name]));
  } catch (error) {
    if (ifNametoindex(name) === 0) return undefined; // it went in the middle
    throw error;
  }
}

interface ListedLink {
  readonly ifindex?: number;
  readonly ifalias?: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: Readonly<Record<string, unknown>> };
}

/** Reads the output of `ip -details -json link show`; what is missing there counts as not ours. */
function parseTun(json: string): ListedTun | undefined {
  const [link] = parseList(json) as readonly ListedLink[];
  if (link === undefined) return undefined;
  const { ifindex = 0, ifalias, linkinfo: { info_kind: kind = "", info_data: data = {} } = {} } = link;
  const expected = { type: "tun", pi: false, vnet_hdr: true, multi_queue: true, group: undefined };
  const unlike = Object.entries(expected).find(([field, value]) => data[field] !== value);
  return {
    index: ifindex,
    alias: ifalias,
    kind,
    queues: Number(data.numqueues ?? 0) + Number(data.numdisabled ?? 0),
    unusable: unlike && `its ${unlike[0]} was ${data[unlike[0]] ?? "not told"}, not ${unlike[1] ?? "unset"}`,
  };
}

function requireOurs(name: string, { alias, kind }: ListedTun, nodeId: string): void {
  const expected = aliasOf(nodeId);
  if (kind === "tun" && alias === expected) return;
  const what = kind === "" ? "a device" : `a device of kind ${kind}`;
  throw new SapwoodError(
    "tun-unavailable",
    `The TUN "${name}" cannot be created: expected no device of that name, or one with the alias "${expected}"; ` +
      `found ${what} with ${alias === undefined ? "no alias" : `the alias "${alias}"`}, of somebody else.`,
  );
}

function heldFailure(name: string): SapwoodError {
  return new SapwoodError("tun-unavailable", `The TUN "${name}" is held by another process, perhaps another proxy.`);
}

/** A name that is too long for an alias stands there as its digest. */
function aliasOf(nodeId: string): string {
  const alias = `sapwood node ${nodeId}`;
  if (Buffer.byteLength(alias) <= ALIAS_BYTES_MAX) return alias;
  return `sapwood node ${createHash("sha256").update(nodeId).digest("hex")}`;
}
