// Whether an interface that this process set up is as it was left, and how to put back what somebody else changed:
// the link, its MTU, addresses and routes.

import { reasonOf, SapwoodError } from "../base/errors.ts";
import { ip, ipBatch } from "./ip-command.ts";
import { hasSysctl, kernelSysctls, readSysctl } from "./kernel-sysctls.ts";
import { ifNametoindex } from "./libc.ts";

/** Below that the kernel takes IPv6 away from an interface, with all settings (RFC 8200 section 5). */
const IPV6_MTU_MIN = 1280;

interface InterfaceTarget {
  readonly device: string;
  readonly index: number;
  readonly mtu: number;
  readonly queueLength: number | undefined; // undefined: as the kernel likes
  readonly addresses: readonly string[]; // each alone in its prefix
  /** By canonical prefix, and the address that packets of this machine get on that way. */
  readonly routes: readonly { readonly prefix: string; readonly source?: string }[];
  readonly sysctls: readonly { readonly path: string; readonly value: string }[]; // of this interface alone
}

/** What the kernel shows of an interface. */
interface InterfaceState {
  readonly isUp: boolean;
  readonly mtu: number;
  readonly queueLength: number;
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly sysctls: Readonly<Record<string, string | undefined>>; // by path; undefined: there is none
}

/** How the interface is after a check. */
export interface KeptState {
  readonly isUp: boolean;
  readonly routes: readonly string[]; // those that are to lead to it, and do
  readonly repaired: readonly string[]; // clauses: "the link was down"
  readonly problems: readonly string[]; // sentences
  /** Something was tried, whether with success or not. */
  readonly hasActed: boolean;
}

interface ListedLink {
  readonly mtu?: number;
  readonly txqlen?: number;
  readonly flags?: readonly string[];
}

/** The interface, kept as it was set up. */
export class KeptInterface {
  readonly #target: InterfaceTarget;

  constructor(target: InterfaceTarget) {
    this.#target = target;
  }

  get indices(): readonly number[] {
    return [this.#target.index];
  }

  /** False: deleted, renamed, or in another network namespace. */
  get isThere(): boolean {
    return isThere(this.#target);
  }

  /** Whether a kernel parameter of the interface differs: the kernel tells nobody of that. */
  hasDrifted(): boolean {
    return this.#target.sysctls.some(({ path, value }) => ![undefined, value].includes(readSysctl(path)));
  }

  /** Undefined when it is gone. */
  async check(): Promise<KeptState | undefined> {
    return this.#restore(await readInterface(this.#target));
  }

  /** The same with an interface that a process before set up: addresses and routes that are not ours go as well. */
  async takeOver(): Promise<KeptState | undefined> {
    const target = this.#target;
    const found = await readInterface(target);
    if (found === undefined) return undefined;
    const others = otherThings(target, found);
    if (others.length === 0) return this.#restore(found);
    await removeOthers(target, found);
    const state = await this.#restore(await readInterface(target));
    return state && { ...state, repaired: [...others, ...state.repaired], hasActed: true };
  }

  async #restore(found: InterfaceState | undefined): Promise<KeptState | undefined> {
    const target = this.#target;
    if (found === undefined) return undefined;
    const different = deviations(target, found);
    if (different.length === 0) return stateOf(target, found);
    const failures = await restoreInterface(target, found);
    const after = await readInterface(target);
    if (after === undefined) return undefined;
    const left = deviations(target, after);
    return {
      ...stateOf(target, after),
      repaired: different.filter((what) => !left.includes(what)),
      problems: failures,
      hasActed: true,
    };
  }
}

function stateOf({ routes }: InterfaceTarget, state: InterfaceState): KeptState {
  const absent = missingRoutes(routes, state);
  return {
    isUp: state.isUp,
    routes: routes.map(({ prefix }) => prefix).filter((prefix) => !absent.includes(prefix)),
    repaired: [],
    problems: [],
    hasActed: false,
  };
}

async function readInterface(target: InterfaceTarget): Promise<InterfaceState | undefined> {
  if (!isThere(target)) return undefined;
  const { device, sysctls } = target;
  const show = async <Entry>(...options: readonly string[]): Promise<Entry[]> => {
    const json = await ip([...options, "dev", device]);
    return json.trim() === "" ? [] : JSON.parse(json);
  };
  try {
    const [[link], addressed, v4, v6] = await Promise.all([
      show<ListedLink>("-json", "link", "show"),
      show<{ addr_info?: readonly { local?: string }[] }>("-json", "address", "show"),
      show<{ dst?: string }>("-4", "-json", "route", "show"),
      show<{ dst?: string }>("-6", "-json", "route", "show"),
    ]);
    if (link === undefined) return undefined;
    return {
      isUp: link.flags?.includes("UP") === true,
      mtu: link.mtu ?? 0,
      queueLength: link.txqlen ?? 0,
      addresses: addressed.flatMap(({ addr_info }) => (addr_info ?? []).map(({ local }) => local ?? "")),
      routes: [
        ...v4.map(({ dst }) => wholePrefix(dst, "0.0.0.0/0", 32)),
        ...v6.map(({ dst }) => wholePrefix(dst, "::/0", 128)),
      ],
      sysctls: Object.fromEntries(sysctls.map(({ path }) => [path, readSysctl(path)])),
    };
  } catch (error) {
    if (isThere(target)) throw error;
    return undefined; // it went in the middle
  }
}

/** What cannot be looked at counts as there: a process without a free descriptor has not lost its device. */
function isThere({ device, index }: InterfaceTarget): boolean {
  const found = ifNametoindex(device);
  return found === index || found < 0;
}

/** `ip` shows a host's route without its length, and "default". */
function wholePrefix(shown: string | undefined, all: string, hostLength: number): string {
  if (shown === undefined || shown === "default") return all;
  return shown.includes("/") ? shown : `${shown}/${hostLength}`;
}

/** What differs, each as a clause. */
function deviations(target: InterfaceTarget, state: InterfaceState): string[] {
  return [
    ...linkDeviations(target, state),
    ...missing(target.addresses, state.addresses).map((address) => `the address ${address} was missing`),
    ...missingRoutes(target.routes, state).map((prefix) => `the route ${prefix} was missing`),
  ];
}

function linkDeviations({ mtu, queueLength, sysctls }: InterfaceTarget, state: InterfaceState): string[] {
  const found: string[] = [];
  if (!state.isUp) found.push("the link was down");
  if (state.mtu !== mtu) found.push(`the MTU was ${state.mtu}, not ${mtu}`);
  if (queueLength !== undefined && state.queueLength !== queueLength) {
    found.push(`the queue length was ${state.queueLength}, not ${queueLength}`);
  }
  for (const { path, value } of sysctls) {
    const actual = state.sysctls[path];
    if (actual !== undefined && actual !== value) found.push(`${path} was ${actual}, not ${value}`);
  }
  return found;
}

function missingRoutes(routes: InterfaceTarget["routes"], state: InterfaceState): string[] {
  return missing(
    routes.map(({ prefix }) => prefix),
    state.routes,
  );
}

/** What an interface has beyond its target, each as a clause. */
function otherThings(target: InterfaceTarget, state: InterfaceState): string[] {
  return [
    ...missing(state.addresses, target.addresses).map((address) => `the address ${address} was there`),
    ...otherRoutes(target, state).map((prefix) => `the route ${prefix} was there`),
  ];
}

function otherRoutes({ routes }: InterfaceTarget, state: InterfaceState): string[] {
  return missing(
    state.routes,
    routes.map(({ prefix }) => prefix),
  );
}

async function removeOthers(target: InterfaceTarget, state: InterfaceState): Promise<void> {
  const { device, addresses } = target;
  let now: InterfaceState | undefined = state;
  if (missing(state.addresses, addresses).length > 0) {
    await ip(["address", "flush", "dev", device]); // what is ours is added anew
    now = await readInterface(target); // an address takes its routes along
  }
  if (now === undefined) return;
  for (const prefix of otherRoutes(target, now)) await ip(["route", "del", prefix, "dev", device]);
}

/** Puts back what differs. Returns a sentence for each thing that could not be. */
async function restoreInterface(target: InterfaceTarget, state: InterfaceState): Promise<string[]> {
  const { device } = target;
  const failures: string[] = [];
  const attempt = async (action: () => Promise<unknown>): Promise<void> => {
    try {
      await action();
    } catch (error) {
      failures.push(reasonOf(error));
    }
  };
  let now: InterfaceState | undefined = state;
  if (linkDeviations(target, state).length > 0) {
    await restoreLink(target, state, attempt);
    now = await readInterface(target); // taking the link down removes routes
    if (now === undefined) return failures; // the next look tells that it is gone
  }
  for (const address of missing(target.addresses, now.addresses)) {
    await attempt(() => ip(["address", "add", `${address}/128`, "dev", device, "nodad"]));
  }
  const absent = missingRoutes(target.routes, now);
  for (const { prefix, source } of target.routes) {
    if (!absent.includes(prefix)) continue;
    const from = source === undefined ? [] : ["src", source];
    // Not `replace`: somebody else's route to the same place stays.
    await attempt(() => ip(["route", "add", prefix, "dev", device, ...from]));
  }
  return failures;
}

async function restoreLink(
  { device, mtu, queueLength, sysctls }: InterfaceTarget,
  state: InterfaceState,
  attempt: (action: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const commands = [
    `link set dev ${device} mtu ${mtu}${queueLength === undefined ? "" : ` txqueuelen ${queueLength}`}`,
  ];
  // An interface that gets IPv6 back while it is up would give itself an address, and speak.
  if (state.mtu < IPV6_MTU_MIN) commands.unshift(`link set dev ${device} down`);
  if (hasSysctl("net/ipv6")) commands.push(`link set dev ${device} addrgenmode none`);
  await attempt(() => ipBatch(commands));
  for (const { path, value } of sysctls) await attempt(async () => setSysctl(path, value));
  await attempt(() => ip(["link", "set", "dev", device, "up"]));
}

function missing(wanted: readonly string[], found: readonly string[]): string[] {
  return wanted.filter((one) => !found.includes(one));
}

/** Asks /proc/sys/net, which shows this process's network namespace; /sys shows that of whoever mounted it. */
export function hasInterface(device: string): boolean {
  return hasSysctl(`net/ipv4/conf/${device}`);
}

function setSysctl(path: string, value: string): void {
  const found = readSysctl(path);
  if (found === undefined || found === value) return;
  try {
    kernelSysctls.write(path, value);
  } catch (cause) {
    throw new SapwoodError("network-setup", `The kernel parameter ${path} must be ${value}, found ${found}.`, {
      cause,
    });
  }
}
