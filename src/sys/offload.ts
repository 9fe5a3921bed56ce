// What the kernel takes over from us, or why it does not. Shown by `sapwood status`.

export type OffloadName =
  | "tun-checksum" // frames may carry unfinished checksums
  | "tun-tcp" // frames may be TCP super-packets (TSO)
  | "tun-udp" // frames may be UDP super-packets (USO)
  | "udp-gso" // one send is cut into datagrams (UDP_SEGMENT)
  | "udp-gro"; // datagrams of a flow are received as one (UDP_GRO)

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
