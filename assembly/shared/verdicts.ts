// Why a packet is not forwarded. PORTABLE: compiled by asc and by tsc.
// Each reason has one counter per direction (layout: WorkerLayout.EGRESS_DROPS, WorkerLayout.INGRESS_DROPS);
// the key is its name in `sapwood counters` and in docs/counters.md.

/** What happened to a packet that was received. */
export enum Verdict {
  sent, // to another node
  delivered, // into the TUN
  dropped, // for a DropReason
  waits, // for its address to become known, or for the first fragment of its packet
  taken, // a probe, which is for this node itself
}

/** What became of a packet; `none` means that it goes on. Checked in this order. */
export enum DropReason {
  none,
  unknownNode, // ingress: the datagram comes from an address and port of no node
  emptyDatagram, // a UDP datagram without payload
  truncatedFrame, // shorter than its virtio_net_hdr, or received in part (MSG_TRUNC)
  notIp, // version nibble neither 4 nor 6, and no probe
  truncatedHeader, // fewer bytes than the IP header needs
  badHeaderLength, // IPv4 IHL below 5 or beyond the packet
  badTotalLength, // length field below the headers or beyond the bytes that came
  badExtensionHeader, // more IPv6 extension headers than are walked, or one that does not fit the packet
  truncatedTransport, // fewer bytes than the TCP, UDP or ICMP header needs, also in a first fragment
  unsupportedIcmp, // ICMP that is neither echo nor an error, or of the other IP version
  badIcmpError, // an ICMP error whose quoted packet is too short, a later fragment or an ICMP error itself
  badTransportLength, // TCP data offset or UDP length that does not fit the packet
  portZero, // TCP or UDP source or destination port 0: no answer could be told from another's
  congestionExperienced, // ingress: the outer header says CE, and the packet inside takes no ECN (RFC 6040)
  fragmentOrphan, // a fragment whose first one did not come in time
  holdFull, // a fragment that came before its first one, and no room to keep it
  badOffload, // a virtio_net_hdr that contradicts the packet, or more segments than one frame or message may hold
  instanceGone, // egress: of a TCP connection to an instance that left the tables; its client gets a reset
  notServiceAddress, // egress: destination in no service range
  unknownWorkload, // egress: source is no namespace address of this node
  unrelatedError, // an ICMP error about a packet that its receiver never sent
  unknownAddress, // egress: a service address that the tables do not hold
  noInstance, // egress: no instance of the address can take a new flow
  noAddressOfFamily, // egress: client or instance has no address in the family that the packet needs on its way
  noNode, // egress: the instance's node is not in the tables
  nodeUnreachable, // egress: the instance's node refuses datagrams, or answers no probe any more
  flowTableFull, // egress: no room for a flow, even after eviction
  portsExhausted, // egress: no source port left that tells this flow from another
  badHeaderChecksum, // a wrong IPv4 header checksum, which would not be seen in IPv6
  sourceRoute, // a source route or routing header that is not at its end, which the other family cannot carry
  notTranslatable, // something else that the other family cannot carry (RFC 7915)
  tooBig, // egress: larger than the path to the node takes, and not to be fragmented
  notLocalDestination, // ingress: destination is no namespace address of this node
  notServiceSource, // ingress: source in no service range
  balancedSource, // ingress: source is a service address, from which no instance sends
  unknownSource, // ingress: source is no instance address that the tables hold
  wrongNode, // ingress: the source's instance runs on another node than the sender
  badProbe, // ingress: a probe of unknown version or type, or a reply to none
  queueFull, // the kernel did not take it in time
  sendFailed, // the kernel refused it
  count,
}
