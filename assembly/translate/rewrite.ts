// Changes addresses and ports together with every checksum that covers them.

import { update, updatePartial, wordDelta } from "../checksum/incremental.ts";
import { fold } from "../checksum/sum.ts";
import { IPPROTO_TCP } from "../shared/protocols.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { Ipv6 } from "../wire/ipv6.ts";
import { Packet } from "../wire/packet.ts";
import { Tcp } from "../wire/tcp.ts";
import { Udp } from "../wire/udp.ts";

/**
 * Gives the packet new addresses and ports. `delta` is the checksum delta of all of them together;
 * `isPartial` says that the checksum field holds the pseudo-header sum, which does not cover ports.
 */
export function rewrite(
  packet: Packet,
  source: v128,
  destination: v128,
  ports: u32,
  delta: u32,
  isPartial: bool,
): void {
  const oldPorts = packet.ports;
  let addressDelta = delta;
  if (ports != oldPorts) {
    addressDelta = fold(
      <u64>delta + wordDelta(<u16>ports, <u16>oldPorts) + wordDelta(<u16>(ports >>> 16), <u16>(oldPorts >>> 16)),
    );
    store<u32>(packet.transportAt, ports);
    packet.ports = ports;
  }
  if (packet.isIpv4) {
    const ip = Ipv4.at(packet.at);
    ip.source = i32x4.extract_lane(source, 3);
    ip.destination = i32x4.extract_lane(destination, 3);
    ip.checksum = update(ip.checksum, addressDelta);
  } else {
    const ip = Ipv6.at(packet.at);
    ip.source = source;
    ip.destination = destination;
  }
  packet.source = source;
  packet.destination = destination;
  if (packet.protocol == IPPROTO_TCP) {
    const tcp = Tcp.at(packet.transportAt);
    tcp.checksum = isPartial ? updatePartial(tcp.checksum, addressDelta) : update(tcp.checksum, delta);
    return;
  }
  const udp = Udp.at(packet.transportAt);
  if (isPartial) {
    udp.checksum = updatePartial(udp.checksum, addressDelta);
  } else if (udp.checksum != 0) {
    // RFC 768: zero means "no checksum", so a sum of zero is sent as ones.
    const checksum = update(udp.checksum, delta);
    udp.checksum = checksum == 0 ? 0xffff : checksum;
  }
}
