// Changes addresses and ports together with every checksum that covers them.

import { portsDelta, update, updatePartial } from "../checksum/incremental.ts";
import { foldWords, orOnes } from "../checksum/sum.ts";
import * as Protocol from "../shared/protocol.ts";
import { Icmp } from "../wire/icmp.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { Ipv6 } from "../wire/ipv6.ts";
import { Packet, PacketKind } from "../wire/packet.ts";
import { Tcp } from "../wire/tcp.ts";
import { Udp } from "../wire/udp.ts";

// DCCP (RFC 4340 section 5.1) and UDP-Lite (RFC 3828 section 3.1) have their checksum where UDP has it.
const UDP_LIKE_HEADER: u32 = 8;

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
    addressDelta = foldWords(delta + portsDelta(ports, oldPorts)); // taken out again
    storePorts(packet, ports);
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
  if (packet.kind != PacketKind.transport) {
    return updateOther(packet, addressDelta, oldPorts);
  }
  if (packet.protocol == Protocol.TCP) {
    const tcp = Tcp.at(packet.transportAt);
    tcp.checksum = isPartial ? updatePartial(tcp.checksum, addressDelta) : update(tcp.checksum, delta);
    return;
  }
  const udp = Udp.at(packet.transportAt);
  if (isPartial) {
    udp.checksum = updatePartial(udp.checksum, addressDelta);
  } else if (udp.checksum != 0) {
    udp.checksum = orOnes(update(udp.checksum, delta));
  }
}

/** The ports or the identifier, without the checksums over them. */
function storePorts(packet: Packet, ports: u32): void {
  if (packet.kind != PacketKind.echo) {
    store<u32>(packet.transportAt, ports);
    packet.ports = ports;
    return;
  }
  // A reply with identifier 0 looks like a request with identifier 0, and still has no source port.
  const icmp = Icmp.at(packet.transportAt);
  packet.ports = ports & (icmp.isEchoRequest(packet.isIpv4) ? 0x0000ffff : 0xffff0000);
  icmp.identifier = packet.sourcePort | packet.destinationPort;
}

/**
 * The checksum of a packet that is neither TCP nor UDP, if it has one that covers what was changed; an echo had its
 * identifier in `oldPorts`.
 */
function updateOther(packet: Packet, addressDelta: u32, oldPorts: u32): void {
  if (packet.kind == PacketKind.error) {
    if (packet.isIpv4) return;
    const icmp = Icmp.at(packet.transportAt);
    icmp.checksum = update(icmp.checksum, addressDelta);
    return;
  }
  if (packet.kind == PacketKind.echo) {
    const icmp = Icmp.at(packet.transportAt);
    const identifierDelta = portsDelta(oldPorts, packet.ports);
    // RFC 792: the message alone; RFC 4443 section 2.3: the pseudo-header as well.
    if (!packet.isIpv4) icmp.checksum = update(icmp.checksum, identifierDelta + addressDelta);
    else if (packet.ports != oldPorts) icmp.checksum = orOnes(update(icmp.checksum, identifierDelta));
    return;
  }
  if (packet.kind != PacketKind.portless) return;
  if (packet.protocol != Protocol.DCCP && packet.protocol != Protocol.UDPLITE) return;
  const isFirst = !packet.isFragment || packet.fragmentOffset == 0;
  if (!isFirst || packet.length - (packet.transportAt - packet.at) < UDP_LIKE_HEADER) return;
  const udp = Udp.at(packet.transportAt);
  const checksum = update(udp.checksum, addressDelta);
  udp.checksum = packet.protocol == Protocol.UDPLITE ? orOnes(checksum) : checksum;
}
