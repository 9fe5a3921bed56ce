// What a unikernel finds in its namespace, a device "tap0", in one of two layouts. The programs that run unikernels for the
// NodeEngine differ in what they expect.
//
//   bridge    tap0 ── virbr0 192.168.1.1/30 ══ translation ══ peer with the addresses: the guest is 192.168.1.2 (crosvm)
//   macvtap   tap0 upon the peer: the guest takes over the peer's addresses (QEMU)

import type { Firewall, GuestPlace } from "./firewall-rules.ts";
import type { AddressPair } from "./subnet.ts";

export const TAP_LAYOUTS = ["bridge", "macvtap"] as const;
export type TapLayout = (typeof TAP_LAYOUTS)[number];

const TAP = "tap0";
const BRIDGE = "virbr0";
/** What the guest calls its gateway. */
const GATEWAY: AddressPair = { v4: "192.168.1.1", v6: "fd5a:9d00:1::1" };
/** What the guest calls itself. */
const GUEST: AddressPair = { v4: "192.168.1.2", v6: "fd5a:9d00:1::2" };
const V4_LENGTH = 30;
const V6_LENGTH = 126;
const FORWARDING = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";

/** Throws missing-tool, missing-rights or network-setup. All of it goes with the namespace. */
export async function addTap(layout: TapLayout, place: GuestPlace, firewall: Firewall): Promise<void> {
  const { netns, peer, addresses } = place;
  if (layout === "macvtap") {
    const mac = hardwareAddress(addresses, "42");
    await netns.ipBatch([
      "link set dev lo up",
      `link add link ${peer} name ${TAP} address ${mac} type macvtap mode vepa`,
      // Whom a neighbour asks for by multicast (RFC 4861) the guest alone knows.
      `link set dev ${TAP} allmulticast on up`,
    ]);
    return;
  }
  await netns.ipBatch([
    "link set dev lo up",
    `link add name ${BRIDGE} type bridge`,
    `addr add ${GATEWAY.v4}/${V4_LENGTH} dev ${BRIDGE}`,
    `addr add ${GATEWAY.v6}/${V6_LENGTH} dev ${BRIDGE} nodad`,
    `tuntap add dev ${TAP} mode tap`,
    `link set dev ${TAP} master ${BRIDGE}`,
    `link set dev ${TAP} up`,
    `link set dev ${BRIDGE} up`,
  ]);
  await netns.run({ program: "sh", package: "dash" }, ["-e"], FORWARDING, () => `-c "${FORWARDING}"`);
  await firewall.leadToGuest(place, GUEST);
}

/**
 * Made of the namespace address, and locally administered (IEEE 802). So whoever knew an earlier container with that
 * address, as the node's own kernel does for half a minute, reaches the one that has it now.
 */
export function hardwareAddress({ v4 }: AddressPair, kind: string): string {
  const bytes = v4.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"));
  return ["02", kind, ...bytes].join(":");
}
