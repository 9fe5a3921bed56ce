// The `offloads` section of the configuration in the terms of the devices that it is about.

import { OFFLOAD_SWITCHES, type SwitchableOffload, type SwitchedOff } from "../../sys/offload.ts";
import type { Config } from "./config.ts";

const FIELDS: Readonly<Record<SwitchableOffload, keyof Config["offloads"]>> = {
  "tun-tcp": "tunTcp",
  "tun-udp": "tunUdp",
  "udp-gso": "udpGso",
  "udp-gro": "udpGro",
};

/** What the configuration switches off. */
export function offloadsSwitchedOff(offloads: Config["offloads"]): SwitchedOff {
  const off = OFFLOAD_SWITCHES.filter((name) => !offloads[FIELDS[name]]);
  return Object.fromEntries(off.map((name) => [name, "switched off in the configuration"]));
}
