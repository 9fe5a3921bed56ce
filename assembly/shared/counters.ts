// What the data plane counts besides drops. PORTABLE: compiled by asc and by tsc.
// The key is the counter's name in `sapwood counters` and in docs/counters.md.
// A packet is an inner IP packet as it crosses the tunnel: a super-packet counts once per segment.

export enum Counter {
  // Behind each of these three numbers of packets stands that of their bytes (area/count.ts, countPackets).
  egressPackets, // packets handed to the tunnel
  egressBytes, // their bytes, inner IP headers included
  ingressPackets, // packets from the tunnel handed to the TUN
  ingressBytes,
  localPackets, // packets from a workload to a workload of the same node
  localBytes,
  tunReadFrames, // frames read from the TUN; a super-packet is one
  tunWrittenFrames,
  udpReceivedMessages, // what recvmmsg returned; with GRO one holds several datagrams
  udpSentMessages, // what sendmmsg took; with UDP_SEGMENT one holds several datagrams
  flowsOpened,
  flowsExpired, // ended by their idle timeout
  flowsEvicted, // ended early because the table was full
  flowsRechosen, // sent to another instance because theirs was gone
  flowsRestarted, // a new connection on the ports of a closed one
  portsRewritten, // flows that got another source port on the wire
  policyChoices, // instances chosen by a policy module
  policyFallbacks, // instances chosen by the engine because the policy failed to
  probesSent,
  probesAnswered, // requests of other nodes
  probeReplies, // answers to ours
  gsoRefused, // UDP_SEGMENT sends that were repeated as single datagrams
  fragmentsHeld, // fragments kept until the first one of their packet came
  fragmentsForgotten, // first fragments forgotten early because of newer ones
  icmpErrorsSent, // to clients whose packets went nowhere
  icmpErrorsLimited, // not sent, as there were too many
  resetsSent, // TCP resets to clients whose instance is gone
  packetsFragmented, // packets sent in fragments, because they were larger than the path takes
  mssClamped, // SYN segments that promised more than the path takes
  packetsParked, // packets kept while the control plane was asked for their address
  addressesAsked, // questions to the control plane
  policyOverruled, // instances that a policy chose although their node was lost, so that the engine took another
  pathErrors, // ICMP errors about our datagrams to nodes: hints, which probes confirm
  pathErrorsForeign, // those that quote what this node does not send
  pathErrorsDisproved, // path MTUs that such an error told and a probe disproved
  ecnMarked, // packets from the tunnel that got the CE mark of their outer header
  tunReadBatches, // times that a worker found frames in the TUN
  udpReceivedBatches, // times that a worker found messages in the socket
  flowsAdopted, // taken over from a process before this one
  flowsRefused, // of a process before this one, and not taken over: a record that is not whole, or no room
  packetsNotCaptured, // those that a capture wanted, while there was no room for them
  faultsInjected, // what this node's devices were told to do wrong (docs/testing.md)
  openingsRefused, // flows to a service that did not begin, because their instance or its node refused them
  openingsUnanswered, // TCP flows to a service that did not begin, because nobody answered in time
  count,
}
