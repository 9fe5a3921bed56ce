// Situations that packets get into and that their counters alone do not tell apart. The twin counts them, so that a
// test on random traffic can show that it met every one.

export const SITUATIONS = [
  // Answers to clients
  ...(["unknownAddress", "noInstance", "nodeUnreachable", "notServiceAddress"] as const).flatMap(inBothFamilies),
  ...(["noAddressOfFamily", "sourceRoute", "instanceGone"] as const).flatMap(inBothFamilies),
  "not told: a later fragment",
  "not told: nobody's address",
  "not told: no workload of this node",
  "not told: too many",
  "node unreachable: it refused a datagram",
  "node unreachable: it is silent",
] as const;

export type Situation = (typeof SITUATIONS)[number];

function inBothFamilies<Reason extends string>(reason: Reason): [`told in IPv4: ${Reason}`, `told in IPv6: ${Reason}`] {
  return [`told in IPv4: ${reason}`, `told in IPv6: ${reason}`];
}
