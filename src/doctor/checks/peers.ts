// Whether the other nodes answer, how fast, and how large packets to them may be.

import type { NodeReport } from "../../model/reports.ts";
import { type Finding, ok, unseen, wrong } from "../finding.ts";

/** Nodes that are well and have a line of their own. */
const SHOWN_MAX = 20;
/** After that a node that runs has answered. */
const ANSWER_MS = 5000;
/** The least that IPv6 works with (RFC 8200 section 5). */
const MTU_MIN = 1280;

/** What a running proxy measured, or what this command asked by itself. */
export type PeerFacts =
  | {
      readonly kind: "measured";
      readonly nodes: readonly NodeReport[];
      readonly uptimeMs: number;
      readonly tunMtu: number;
      readonly acceptsStrangers: boolean;
    }
  | { readonly kind: "asked"; readonly peers: readonly { readonly id: string; readonly rttMs: number | undefined }[] }
  | { readonly kind: "unasked"; readonly reason: string };

export function peerFindings(facts: PeerFacts): Finding[] {
  if (facts.kind === "unasked") return [unseen("peers", facts.reason, "sapwood run; sapwood doctor")];
  const found =
    facts.kind === "asked"
      ? facts.peers.map(({ id, rttMs }) =>
          rttMs === undefined
            ? wrong("peers", `${id} does not answer`, `on ${id}: sapwood doctor`)
            : ok("peers", `${id} answers in ${rttMs.toFixed(3)} ms`),
        )
      : facts.nodes.filter(({ isLocal }) => !isLocal).map((node) => measuredFinding(node, facts));
  if (found.length === 0) return [ok("peers", "there are no other nodes")];
  const well = found.filter(({ state }) => state === "ok");
  const shown = well.length <= SHOWN_MAX ? well : [ok("peers", `${well.length} other nodes answer`)];
  return [...found.filter(({ state }) => state !== "ok"), ...shown];
}

function measuredFinding(
  { id, state, stateAgeMs, rttMs, mtu, underlay }: NodeReport,
  { uptimeMs, tunMtu, acceptsStrangers }: Extract<PeerFacts, { kind: "measured" }>,
): Finding {
  const look = `on ${id}: sapwood doctor; here: ping ${underlay.address}`;
  if (state === "lost") {
    const since = stateAgeMs === null ? "" : ` for ${Math.round(stateAgeMs / 1000)} s`;
    return wrong("peers", `${id} does not answer any more${since}`, look);
  }
  if (state === "unknown" && acceptsStrangers) return ok("peers", `${id} answers no probes, as a node of another make`);
  if (state === "unknown" && uptimeMs < ANSWER_MS)
    return unseen("peers", `${id} has not answered yet`, "sapwood doctor");
  if (state === "unknown") return wrong("peers", `${id} never answered`, look);
  const size = mtu ?? tunMtu;
  const told = `${id} answers in ${rttMs === null ? "an unknown time" : `${rttMs.toFixed(3)} ms`}, path MTU ${mtu ?? "not met"}`;
  if (size < MTU_MIN && size < tunMtu) {
    return wrong("peers", `${told}: too small for IPv6, which needs ${MTU_MIN}`, `tracepath -n ${underlay.address}`);
  }
  return ok("peers", size < tunMtu ? `${told}: larger packets are told so by ICMP` : told);
}
