// What a proxy may do, beyond what any process may. Capabilities belong to threads, and a thread cannot take them from
// another one; Node has several before the first line of a program runs. So a process that has more than it needs gives
// up the rest and then becomes the same program anew: every thread of that begins with what is left (capabilities(7)).

import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { SapwoodError } from "../base/errors.ts";
import { storedDescriptors } from "./descriptor-store.ts";
import { capset, EACCES, EPERM, errnoName, execv, expectSuccess, fcntlNumber, prctl } from "./libc.ts";

// linux/capability.h
const CAP_DAC_READ_SEARCH = 2;
const CAP_NET_BIND_SERVICE = 10;
const CAP_NET_ADMIN = 12;
const CAP_SYS_NICE = 23;
const CAPABILITY_VERSION_3 = 0x20080522;
const CAPABILITY_COUNT_MAX = 64;
const F_SETFD = 2; // fcntl.h
// linux/prctl.h
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;

/** What a proxy needs while it runs, and the programs that it calls (`ip`, `wg`). */
const NEEDED = maskOf([
  CAP_NET_ADMIN, // TUN, routes, addresses, kernel parameters below /proc/sys/net, WireGuard
  CAP_NET_BIND_SERVICE, // a tunnel port below 1024
  CAP_SYS_NICE, // the workers' priority, also of one that is started later
]);

/** Capabilities as bit masks. */
interface Rights {
  readonly permitted: bigint;
  readonly bounding: bigint;
  /** Programs that are called get no more than this process has, whatever their files say. */
  readonly isSealed: boolean;
}

/** Capabilities by which a proxy sets up the network, and opens a port below 1024. */
interface NetworkRights {
  readonly hasNetAdmin: boolean;
  readonly hasBindService: boolean;
}

/** Those of this process; throws when /proc does not tell. */
function readRights(): Rights {
  const status = readFileSync("/proc/self/status", "utf8");
  return {
    permitted: BigInt(`0x${statusField(status, "CapPrm")}`),
    bounding: BigInt(`0x${statusField(status, "CapBnd")}`),
    isSealed: statusField(status, "NoNewPrivs") === "1",
  };
}

/** What a process may do in the network; undefined when there is no such process. */
export function networkRightsOf(process: number | "self"): NetworkRights | undefined {
  let status: string;
  try {
    status = readFileSync(`/proc/${process}/status`, "utf8");
  } catch {
    return undefined;
  }
  const effective = BigInt(`0x${statusField(status, "CapEff")}`);
  const has = (capability: number): boolean => (effective & maskOf([capability])) !== 0n;
  return { hasNetAdmin: has(CAP_NET_ADMIN), hasBindService: has(CAP_NET_BIND_SERVICE) };
}

/** Of /proc/PID/status (proc(5)). */
function statusField(status: string, name: string): string {
  const value = new RegExp(`^${name}:\\s*(\\S+)$`, "m").exec(status)?.[1];
  if (value === undefined) throw new Error(`/proc/PID/status must have ${name}; found none`);
  return value;
}

/**
 * Gives up what a proxy does not need. Returns when there is nothing to give up; else the process begins anew with the
 * same arguments. `files` are those that it must be able to read then: where their owner lets nobody else read them,
 * the right to read everything stays.
 */
export function reduceRights(files: readonly string[]): void {
  const { permitted, bounding, isSealed } = readRights();
  if (isSealed && (permitted & ~NEEDED) === 0n) return;
  setRights(permitted & NEEDED, permitted);
  const left = permitted & (files.every(isReadable) ? NEEDED : NEEDED | maskOf([CAP_DAC_READ_SEARCH]));
  setRights(permitted, permitted);
  if (isSealed && left === permitted) return;
  for (let capability = 0; capability < CAPABILITY_COUNT_MAX; capability++) {
    const bit = 1n << BigInt(capability);
    if ((bounding & bit) === 0n || (left & bit) !== 0n) continue;
    const result = prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (result < 0 && result !== -EPERM) expectSuccess(result, `Dropping capability ${capability}`);
  }
  expectSuccess(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
  setRights(left, left);
  // So that a user other than root keeps them as well.
  for (let capability = 0; capability < CAPABILITY_COUNT_MAX; capability++) {
    if ((left & (1n << BigInt(capability))) === 0n) continue;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0); // refused by old kernels; root needs it not
  }
  // Node marks what it inherited to be closed when it becomes another program.
  for (const fd of [0, 1, 2, ...storedDescriptors(process.env).values()]) fcntlNumber(fd, F_SETFD, 0);
  const { execPath, execArgv, argv } = process;
  const result = execv(execPath, [execPath, ...execArgv, ...argv.slice(1)]);
  throw new SapwoodError(
    "system-call",
    `The proxy starts ${execPath} anew with fewer rights, which failed with ${errnoName(result)}.`,
  );
}

/** Effective ones, and those that may become so. What is permitted is inherited by programs, too. */
function setRights(effective: bigint, permitted: bigint): void {
  const header = Uint32Array.of(CAPABILITY_VERSION_3, 0);
  const halves = [effective, permitted, permitted];
  const data = Uint32Array.from([...halves.map(lowOf), ...halves.map((mask) => lowOf(mask >> 32n))]);
  expectSuccess(capset(header, data), "capset");
}

function lowOf(mask: bigint): number {
  return Number(mask & 0xffff_ffffn);
}

/** Files that are missing, say, are for others to report, and what is no file. */
function isReadable(path: string): boolean {
  try {
    if (statSync(path).isFile()) closeSync(openSync(path, "r"));
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno !== -EACCES;
  }
}

function maskOf(capabilities: readonly number[]): bigint {
  return capabilities.reduce((mask, capability) => mask | (1n << BigInt(capability)), 0n);
}
