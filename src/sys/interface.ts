// Prepares the TUN's interface and the kernel's forwarding with the `ip` command and /proc/sys/net.
// Promises: a set-up that fails undoes what it did, unless a process before left it; close() undoes everything, in
// reverse order.
//
// IPv6 forwarding has a side effect: the kernel stops to accept router advertisements and forgets default routes
// that it learned from them, unless accept_ra of the interface is 2 (Documentation/networking/ip-sysctl.rst).
// The interface that carries the tunnel is therefore set to 2 first; other interfaces are the administrator's.

import { SapwoodError } from "../base/errors.ts";
import { canonicalAddress } from "../net/address.ts";
import { isGuardRoute, removeGuardRoutes, routesTo, setGuardRoutes } from "./guard-routes.ts";
import { hasInterface, KeptInterface, type KeptState } from "./interface-state.ts";
import { ip, ipBatch, parseList } from "./ip-command.ts";
import { hasSysctl, readSysctl } from "./kernel-sysctls.ts";
import { expectSuccess, ifNametoindex } from "./libc.ts";
import { currentScope, type Sysctl, SysctlSession } from "./sysctl.ts";

/** Outer IPv6 and UDP headers are 40 + 8 bytes; 50 leaves a round number on Ethernet. */
const TUNNEL_OVERHEAD = 50;
const MTU_DEFAULT = 1450;
/** The least that IPv6 works with (RFC 8200 section 5). */
const MTU_MIN = 1280;
/**
 * Frames that may wait in each of the TUN's queues; the kernel's default is 500. What does not fit is dropped, and the
 * sender is not slowed down. On two cores the worker often has to wait for the very sender whose packets it is to
 * read, several milliseconds at a time: of a flood of 64-byte datagrams a third arrived with 500, 83 % with 2,048 and
 * 94 % with 4,096, at less than half the processor time per packet (single runs on a busy machine). A round trip beside
 * four TCP streams took no longer, since their windows bound how much of theirs can wait. At worst, all of it
 * super-packets, a queue holds 256 MiB.
 */
const QUEUE_LENGTH = 4096;

interface InterfaceOptions {
  readonly device: string; // name of the TUN, which is open
  readonly mtu: number;
  readonly ranges: readonly string[]; // canonical prefixes that are routed into the TUN
  readonly underlayDevice: string | undefined; // interface that carries the tunnel, if known
  readonly stateFile: string; // keeps original kernel parameters across a crash
  /** Whether the ranges are unreachable while the TUN is not there. */
  readonly isGuarded: boolean;
  /** The device was set up by a process before; what it has stays in place. */
  readonly isAdopted?: boolean;
}

/** What is to be there after the end. */
interface KeptThings {
  /** The unreachable routes of the ranges. */
  readonly guard: boolean;
  /** Everything: the device that somebody keeps, with what leads to it and what it needs. */
  readonly device: boolean;
}

interface AddressInfo {
  readonly local?: string;
  readonly scope?: string;
}

export interface Underlay {
  readonly device: string;
  readonly mtu: number;
}

/** How it is at the moment. */
export interface UnderlayLink extends Underlay {
  readonly index: number;
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
}

/** The interface that has `address`, or undefined when none has. */
export async function findUnderlay(address: string): Promise<UnderlayLink | undefined> {
  return parseUnderlay(await ip(["-json", "address", "show", "to", address]));
}

/** Reads the output of `ip -json address show`. */
export function parseUnderlay(json: string): UnderlayLink | undefined {
  const [link] = parseList(json);
  const { ifname, mtu, flags, ifindex } = link ?? {};
  if (typeof ifname !== "string" || typeof mtu !== "number") return undefined;
  const isSet = (flag: string): boolean => Array.isArray(flags) && flags.includes(flag);
  return { device: ifname, index: Number(ifindex ?? 0), mtu, isUp: isSet("UP"), hasCarrier: isSet("LOWER_UP") };
}

/** The addresses that this machine can be known by elsewhere, canonical and sorted. */
export async function readOwnAddresses(): Promise<string[]> {
  return parseOwnAddresses(await ip(["-json", "address", "show"]));
}

/** Reads the output of `ip -json address show`: addresses of scope link and host mean nothing to anybody else. */
export function parseOwnAddresses(json: string): string[] {
  const all = parseList(json).flatMap(({ addr_info }) =>
    Array.isArray(addr_info) ? (addr_info as AddressInfo[]) : [],
  );
  const own = all.filter(({ scope }) => scope !== "link" && scope !== "host");
  return [...new Set(own.flatMap(({ local }) => canonicalAddress(local ?? "") ?? []))].sort();
}

/** The TUN's MTU: as configured, or what the underlay leaves to a packet in the tunnel. */
export function chooseMtu(configured: number | "auto", underlayMtu: number | undefined): number {
  if (configured !== "auto") return configured;
  if (underlayMtu === undefined) return MTU_DEFAULT;
  return Math.max(MTU_MIN, underlayMtu - TUNNEL_OVERHEAD);
}

/** The interface of an open TUN, brought up and routed to. */
export class TunInterface {
  readonly #options: InterfaceOptions;
  readonly #sysctls: SysctlSession;
  readonly #kept: KeptInterface;
  readonly #forwarding: readonly Sysctl[];
  #isLinkUp = false;
  #corrected: readonly string[] = [];
  #toldForwarding = ""; // what the last check found

  private constructor(options: InterfaceOptions) {
    const { device, mtu, ranges } = options;
    this.#options = options;
    this.#sysctls = new SysctlSession(options.stateFile, currentScope());
    const [own, shared] = [[] as Sysctl[], [] as Sysctl[]];
    for (const sysctl of sysctlsFor(options)) (sysctl.path.includes(`/${device}/`) ? own : shared).push(sysctl);
    this.#forwarding = shared.filter(({ onlyFrom }) => onlyFrom === undefined);
    this.#kept = new KeptInterface({
      device,
      index: expectSuccess(ifNametoindex(device), `Asking for the interface "${device}"`),
      mtu,
      queueLength: QUEUE_LENGTH,
      addresses: [],
      routes: ranges.map((prefix) => ({ prefix })),
      sysctls: own,
    });
  }

  /**
   * Throws network-setup, missing-rights or missing-tool; then the kernel is as it was before, but for what was
   * corrected of a device that a process before left.
   */
  static async open(options: InterfaceOptions): Promise<TunInterface> {
    const { device, ranges, isGuarded, isAdopted = false } = options;
    const opened = new TunInterface(options);
    let wasGuarded = false; // by a process before
    try {
      const found = await Promise.all(ranges.map(async (range) => ({ range, routes: await routesTo(range) })));
      for (const { range, routes } of found) refuseForeignRoute(range, device, routes);
      wasGuarded = found.some(({ routes }) => routes.some(isGuardRoute));
      for (const sysctl of sysctlsFor(options)) opened.#sysctls.set(sysctl);
      if (isGuarded) await setGuardRoutes(ranges);
      opened.#isLinkUp = true;
      if (isAdopted) await opened.#takeOver();
      else await bringUp(options);
      if (!isGuarded && wasGuarded) await removeGuardRoutes(ranges);
      return opened;
    } catch (error) {
      await opened.close({ guard: wasGuarded, device: isAdopted });
      throw error;
    }
  }

  get indices(): readonly number[] {
    return this.#kept.indices;
  }

  /** What was not as it is to be on a device that a process before left, as clauses. */
  get corrected(): readonly string[] {
    return this.#corrected;
  }

  /** Throws tun-unavailable when the interface is gone. */
  expectThere(): void {
    if (this.#kept.isThere) return;
    throw new SapwoodError(
      "tun-unavailable",
      `The TUN "${this.#options.device}" is gone: somebody deleted or renamed it, or moved it to another network namespace.`,
    );
  }

  /** Whether kernel parameters differ from what the last check left. */
  hasDrifted(): boolean {
    return this.#kept.hasDrifted() || this.#forwarding.flatMap(unlike).join(" ") !== this.#toldForwarding;
  }

  /**
   * Puts back what somebody changed of the interface and its routes. The node's forwarding is not ours alone, so that
   * is only told. Throws tun-unavailable when the interface is gone.
   */
  async check(): Promise<KeptState> {
    const state = this.#there(await this.#kept.check());
    const forwarding = this.#forwarding.flatMap(unlike);
    this.#toldForwarding = forwarding.join(" ");
    return { ...state, problems: [...state.problems, ...forwarding] };
  }

  /** Returns a sentence for each thing that could not be put back. */
  async close(keeps: KeptThings = { guard: false, device: false }): Promise<string[]> {
    if (keeps.device) return [];
    const { device, ranges, isGuarded } = this.#options;
    const failures: string[] = [];
    if (this.#isLinkUp) {
      this.#isLinkUp = false;
      // Taking the link down removes its routes. A device that is gone has taken them along.
      await ip(["link", "set", "dev", device, "down"]).catch((error: unknown) => {
        if (hasInterface(device)) failures.push(String(error));
      });
      if (isGuarded && !keeps.guard) {
        await removeGuardRoutes(ranges).catch((error: unknown) => failures.push(String(error)));
      }
    }
    failures.push(...this.#sysctls.restore());
    return failures;
  }

  async #takeOver(): Promise<void> {
    const { repaired, problems } = this.#there(await this.#kept.takeOver());
    if (problems.length > 0) throw new SapwoodError("network-setup", problems.join(" "));
    this.#corrected = repaired;
  }

  #there(state: KeptState | undefined): KeptState {
    if (state !== undefined) return state;
    this.expectThere();
    throw new SapwoodError("network-setup", `The TUN "${this.#options.device}" was gone for a moment.`);
  }
}

/** The kernel parameters that forwarding between workloads and the TUN needs, in the order of setting. */
export function sysctlsFor({
  device,
  ranges,
  underlayDevice,
}: Pick<InterfaceOptions, "device" | "ranges" | "underlayDevice">): Sysctl[] {
  const sysctls: Sysctl[] = [
    { path: "net/ipv4/ip_forward", value: "1" },
    // What comes out of the TUN has a source in a range that is routed into it, so the check would pass;
    // but not for a service range that a more specific route of the host covers in part.
    { path: `net/ipv4/conf/${device}/rp_filter`, value: "0" },
  ];
  if (!ranges.some((range) => range.includes(":"))) return sysctls;
  if (underlayDevice !== undefined) {
    sysctls.push({ path: `net/ipv6/conf/${underlayDevice}/accept_ra`, value: "2", onlyFrom: "1" });
  }
  sysctls.push({ path: `net/ipv6/conf/${device}/disable_ipv6`, value: "0" });
  sysctls.push({ path: "net/ipv6/conf/all/forwarding", value: "1" });
  return sysctls;
}

function unlike({ path, value }: Sysctl): string[] {
  const found = readSysctl(path);
  if (found === undefined || found === value) return [];
  return [
    `The kernel parameter ${path} must be ${value} for packets of workloads; found ${found}, set by somebody else.`,
  ];
}

/** A range that another interface has already would send its traffic here or there by chance. */
function refuseForeignRoute(range: string, device: string, routes: readonly Record<string, unknown>[]): void {
  const route = routes.find((one) => one.dev !== device && !isGuardRoute(one));
  if (route === undefined) return;
  throw new SapwoodError(
    "network-setup",
    `The service range ${range} must be free to be routed into "${device}"; found a route to ` +
      `"${String(route.dev ?? route.gateway ?? "another target")}" in the main table.`,
  );
}

/** Sets the interface up and routes the ranges into it. */
async function bringUp({ device, mtu, ranges }: InterfaceOptions): Promise<void> {
  const commands = [`link set dev ${device} mtu ${mtu} txqueuelen ${QUEUE_LENGTH}`];
  // The TUN has no IPv6 address of its own, so that the kernel sends no neighbour or multicast reports into it.
  if (hasSysctl("net/ipv6")) commands.push(`link set dev ${device} addrgenmode none`);
  commands.push(`link set dev ${device} up`);
  for (const range of ranges) commands.push(`route add ${range} dev ${device}`);
  await ipBatch(commands);
}
