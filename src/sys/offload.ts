// What the kernel takes over from us, or why it does not. Shown by `sapwood status`.

/** The offloads that can be switched while the proxy runs. */
export const OFFLOAD_SWITCHES = [
  "tun-tcp", // frames may be TCP super-packets (TSO)
  "tun-udp", // frames may be UDP super-packets (USO)
  "udp-gso", // one send is cut into datagrams (UDP_SEGMENT)
  "udp-gro", // datagrams of a flow are received as one (UDP_GRO)
] as const;
export type SwitchableOffload = (typeof OFFLOAD_SWITCHES)[number];

/** "tun-checksum": frames may carry unfinished checksums. All others of the TUN stand on it. */
export type OffloadName = "tun-checksum" | SwitchableOffload;

/** The offloads that are not wanted, each with a clause that says what switched it off. */
export type SwitchedOff = Readonly<Partial<Record<SwitchableOffload, string>>>;

export interface OffloadState {
  readonly name: OffloadName;
  readonly on: boolean;
  /** A clause: "in force", or what switched it off or refused it. */
  readonly reason: string;
}

export function offloadOn(name: OffloadName): OffloadState {
  return { name, on: true, reason: "in force" };
}

export function offloadOff(name: OffloadName, reason: string): OffloadState {
  return { name, on: false, reason };
}
