// Situations that packets get into and that their counters alone do not tell apart. The twin counts them, so that a
// test on random traffic can show that it met every one.
import type { EcnName } from "./traffic-class.ts";

export const SITUATIONS = [
  // Answers to clients
  ...(["unknownAddress", "noInstance", "nodeUnreachable", "notServiceAddress"] as const).flatMap(inBothFamilies),
  ...(["unknownWorkload"] as const).flatMap(inBothFamilies),
  ...(["noAddressOfFamily", "sourceRoute", "instanceGone", "tooBig"] as const).flatMap(inBothFamilies),
  "not told: a later fragment",
  "not told: nobody's address",
  "not told: no workload of this node",
  "not told: no host of its own",
  "not told: a source in the service ranges",
  "not told: an answer to an opening",
  "not told: too many",
  "not told: too many of sizes and resets",
  ...inBothFamilies("lostReset"),
  "node lost: it refuses datagrams",
  "node lost: it is silent",
  "node returned",
  "a flow of a lost node",
  "a lost node's flow that was never answered goes elsewhere",
  "an unhealthy instance is passed over",
  "all instances are unhealthy, and one is used",
  "an instance is avoided by its client",
  "an instance is avoided by everybody",
  "an opening succeeds where others failed",
  "a node is given a health page",
  "a node gives a health page",
  // Unknown addresses
  "parked: a packet",
  "parked: a super-packet",
  "parked: a first fragment",
  "parked: behind others, though the address is known",
  "parked: no, too many packets",
  "parked: no, too many bytes",
  "parked: made place for another one's",
  "parked: no, the address was refused just now",
  "parked: an answer to a caller that is unknown",
  "parked: sent in the end",
  "parked: given up, its time is over",
  "parked: given up, the address was refused",
  "a flow waits for its instance, which is unknown now",
  "a flow goes on with its instance, which came back",
  "a flow ends, its address does not exist any more",
  "an answer of an instance that is unknown now",
  // Later fragments, also of packets that change their family
  ...(["egress", "ingress"] as const).flatMap(ofLaterFragments),
  "later fragment: made place for another one's",
  "the checksum of a packet inside is finished",
  // Strangers
  "a stranger asks",
  "a stranger answers",
  // Traffic class
  ...(["Not-ECT", "ECT(0)", "ECT(1)", "CE"] as const).flatMap(withAnyEcnOutside),
  "sent to a node that takes the outer ECN",
  "sent to a node that may not take the outer ECN",
  // Connections
  "TCP: a reset",
  "TCP: a reset beyond the window",
  "TCP: both sides go on after a reset",
  "TCP: a client begins anew on a half-closed connection",
  // Sizes
  "a path MTU is learnt",
  "a datagram may go in fragments",
  "a later fragment is too big",
  "cut: IPv4 in fragments",
  "cut: what became IPv6 in fragments",
  "cut: a fragment again",
  "cut: segments in fragments",
  "cut: smaller segments",
  "cut: fragments within the node",
  "cut: fragments of an answer",
  "MSS lowered to the path",
  "MSS lowered to the TUN",
  "MSS lowered between families",
  "MSS lowered: even",
  "MSS lowered: odd",
  "MSS lowered: no checksum yet",
] as const;

export type Situation = (typeof SITUATIONS)[number];

type LaterFragment<Direction extends string> =
  `later fragment, ${Direction}: ${"as it is" | "became IPv6" | "became IPv4" | "it waited"}`;

function ofLaterFragments<Direction extends string>(direction: Direction): LaterFragment<Direction>[] {
  return (["as it is", "became IPv6", "became IPv4", "it waited"] as const).map(
    (what) => `later fragment, ${direction}: ${what}` as const,
  );
}

function withAnyEcnOutside(inside: EcnName): `ECN: ${EcnName} inside, ${EcnName} outside`[] {
  return (["Not-ECT", "ECT(0)", "ECT(1)", "CE"] as const).map(
    (outside) => `ECN: ${inside} inside, ${outside} outside` as const,
  );
}

function inBothFamilies<Reason extends string>(reason: Reason): [`told in IPv4: ${Reason}`, `told in IPv6: ${Reason}`] {
  return [`told in IPv4: ${reason}`, `told in IPv6: ${reason}`];
}
