// What `sapwood policy test` tries a policy on: candidates that a file describes or that a running proxy told, or else
// a few sets in which policies show what they are.

import * as z from "zod";
import {
  isEligible,
  ofFamilies,
  PLAIN_CANDIDATE,
  type PolicyCandidate,
} from "../../dataplane/modules/candidate-record.ts";
import type { CandidateSet } from "../../dataplane/modules/policy-trial-contract.ts";
import { INSTANCE_HEALTH } from "../../model/reports.ts";
import { type Family, familyOf } from "../../net/address.ts";
import { ConfigDocument } from "../config/config-document.ts";

const count = z.int("expected a whole number, not negative").min(0, "expected a whole number, not negative");
const measure = z.number("expected a number, not negative").min(0, "expected a number, not negative");
const flag = z.boolean("expected true or false");
const text = z.string("expected text");
const texts = z.array(text, "expected a list").optional();
const FAMILIES = { ipv4: 4, ipv6: 6 } as const satisfies Readonly<Record<string, Family>>;
const familyName = z.enum(["ipv4", "ipv6"], "expected ipv4 or ipv6");
const INSTANCE_MAX = 0xffff_ffff;
const WEIGHT_MAX = 65_535;

const fields = {
  number: count.max(INSTANCE_MAX, `expected at most ${INSTANCE_MAX}`),
  service: text.default("candidates"),
  weight: count.min(1, "expected a weight of 1 or more").max(WEIGHT_MAX, `expected at most ${WEIGHT_MAX}`).default(1),
  flows: count.default(0),
  rttMs: measure.nullish(),
  distanceKm: measure.nullish(),
  isLocal: flag.default(false),
  draining: flag.default(false),
  healthy: flag.default(true),
  families: z.array(familyName, "expected a list").min(1, "expected at least one family").optional(),
  // What `sapwood instances` tells as well.
  node: text.optional(),
  namespaceAddresses: texts,
  instanceAddresses: texts,
  health: z.enum(INSTANCE_HEALTH, `expected one of ${INSTANCE_HEALTH.join(", ")}`).optional(),
  healthAgeMs: measure.nullish(),
  healthReason: text.nullish(),
};
const KNOWN_FIELDS = Object.keys(fields).join(", ");

const instance = z.strictObject(fields, {
  error: ({ code }) => (code === "unrecognized_keys" ? KNOWN_FIELDS : `expected fields (${KNOWN_FIELDS})`),
});
const instances = z.array(instance, "expected a list of instances").min(1, "expected at least one instance");

const nodes = z.array(
  z.object(
    { id: text, rttMs: measure.nullish(), distanceKm: measure.nullish(), state: text.optional() },
    "expected fields (id, rttMs, distanceKm, state)",
  ),
  "expected a list of nodes",
);

interface NamedText {
  readonly text: string;
  readonly fileName: string;
}

/**
 * One set per service of a list of instances, as a person writes it or `sapwood instances --json` prints it; round-trip
 * times and distances that it lacks are those of the nodes, as `sapwood nodes --json` prints them. Throws
 * config-invalid.
 */
export function readCandidateSets(listed: NamedText, nodesListed?: NamedText): CandidateSet[] {
  const rows = new ConfigDocument(listed.text, listed.fileName).parse(instances);
  const known =
    nodesListed === undefined ? [] : new ConfigDocument(nodesListed.text, nodesListed.fileName).parse(nodes);
  const nodesById = new Map(known.map((node) => [node.id, node]));
  const services = new Map<string, DescribedCandidate[]>();
  for (const row of rows) {
    const node = nodesById.get(row.node ?? "");
    const candidates = services.get(row.service) ?? [];
    services.set(row.service, candidates);
    candidates.push({
      families: familiesOf(row),
      instance: row.number,
      weight: row.weight,
      flows: row.flows,
      rttUs: Math.round((row.rttMs ?? node?.rttMs ?? 0) * 1000),
      distanceKm: row.distanceKm ?? node?.distanceKm ?? Number.NaN,
      isLocal: row.isLocal,
      isDraining: row.draining,
      isHealthy: row.healthy && row.health !== "unhealthy" && node?.state !== "lost",
    });
  }
  return [...services].flatMap(([name, candidates]) => setsOf(name, candidates));
}

type DescribedCandidate = Omit<PolicyCandidate, keyof ReturnType<typeof ofFamilies>> & {
  readonly families: readonly Family[];
};

/** Those that are named, or else those of the namespace addresses; of both if nothing is said. */
function familiesOf({ families, namespaceAddresses = [] }: z.output<typeof instance>): readonly Family[] {
  if (families !== undefined) return families.map((family) => FAMILIES[family]);
  return namespaceAddresses.length === 0 ? Object.values(FAMILIES) : namespaceAddresses.map(familyOf);
}

/** In which family a service is called makes a difference if a candidate lacks one: then there is a set for each. */
function setsOf(service: string, described: readonly DescribedCandidate[]): CandidateSet[] {
  const setOf = (name: string, called: Family): CandidateSet => ({
    name,
    candidates: described.map(({ families, ...candidate }) => ({ ...candidate, ...ofFamilies(families, called) })),
  });
  const isSame = described.every(({ families }) => families.includes(4) && families.includes(6));
  return isSame ? [setOf(service, 4)] : [setOf(`${service}, over IPv4`, 4), setOf(`${service}, over IPv6`, 6)];
}

/** "instance 3", and what sets it apart. */
export function candidateText(candidate: PolicyCandidate): string {
  const { instance: number, weight, rttUs, distanceKm, isLocal, isDraining, hasIpv4, hasIpv6 } = candidate;
  return [
    `instance ${number}`,
    ...(weight === 1 ? [] : [`weight ${weight}`]),
    ...(rttUs === 0 ? [] : [`${rttUs / 1000} ms`]),
    ...(Number.isNaN(distanceKm) ? [] : [`${distanceKm} km`]),
    ...(isLocal ? ["on this node"] : []),
    ...(hasIpv4 === hasIpv6 ? [] : [hasIpv4 ? "IPv4 only" : "IPv6 only"]),
    ...(isEligible(candidate) ? [] : [isDraining ? "draining" : "ill"]),
  ].join(", ");
}

function set(name: string, ...candidates: readonly Partial<PolicyCandidate>[]): CandidateSet {
  return {
    name,
    candidates: candidates.map((candidate, i) => ({ instance: i + 1, ...PLAIN_CANDIDATE, ...candidate })),
  };
}

export const EXAMPLE_SETS: readonly CandidateSet[] = [
  set("three alike", {}, {}, {}),
  set("weights 1, 2 and 5", { weight: 1 }, { weight: 2 }, { weight: 5 }),
  set(
    "near and far",
    { rttUs: 500, distanceKm: 3 },
    { rttUs: 5000, distanceKm: 300 },
    { rttUs: 80_000, distanceKm: 6000 },
  ),
  set(
    "one on this node",
    { rttUs: 500, distanceKm: 3 },
    { isLocal: true, distanceKm: 0 },
    { rttUs: 900, distanceKm: 5 },
  ),
  set("called over IPv4, one has IPv6 only", {}, { hasIpv4: false, isOwnFamily: false }, {}),
  set("one drains", {}, { isDraining: true }, {}),
  set("all drain", { isDraining: true }, { isDraining: true }),
  set("one alone", {}),
  set("600 alike", ...Array.from({ length: 600 }, () => ({}))),
];
