// Whether the clock is such that others believe it. Measurements and timeouts go by a clock that nobody sets.

import { type Finding, ok, unseen, wrong } from "../finding.ts";

/** A clock that is steered goes faster or slower for a while; one that is off by more is set at once. */
const JUMP_MS = 1000;

export interface ClockFacts {
  /** Undefined: the kernel does not tell. */
  readonly isSynchronised: boolean | undefined;
  /** By how much it was set since the proxy started; undefined when none runs. */
  readonly jumpMs: number | undefined;
  readonly isEncrypted: boolean;
}

/** WireGuard's first messages carry the time, and a peer takes none that is older than the last one that it took. */
export function clockFindings({ isSynchronised, jumpMs = 0, isEncrypted }: ClockFacts): Finding[] {
  const jump = `the clock was set ${jumpMs < 0 ? "back" : "forward"} by ${(Math.abs(jumpMs) / 1000).toFixed(1)} s since the proxy started`;
  if (jumpMs < -JUMP_MS && isEncrypted) {
    return [
      wrong(
        "clock",
        `${jump}: WireGuard's peers refuse new handshakes`,
        "systemctl restart sapwood, on the other nodes",
      ),
    ];
  }
  // Somebody else may keep it right: the host of a virtual machine, say.
  if (isSynchronised === false && isEncrypted) {
    return [
      unseen(
        "clock",
        "it is not synchronised, and WireGuard's peers refuse handshakes from the past",
        "timedatectl set-ntp true",
      ),
    ];
  }
  if (Math.abs(jumpMs) > JUMP_MS) return [ok("clock", `${jump}, which no packet minds`)];
  return [
    ok("clock", isSynchronised === false ? "it is not synchronised, which no packet minds" : "it has not jumped"),
  ];
}
