// How modules, their hand-over and their shares are printed; shared by `sapwood policy` and `sapwood engine`.

import { type Column, renderFields, renderTable } from "../base/text-table.ts";
import type {
  AddressShareReport,
  AddressSpreadReport,
  DryRunReport,
  EngineReport,
  FaultReport,
  ModuleReport,
  PolicyDetailReport,
  PolicyFaultCounts,
  PolicyReport,
  SwapReport,
} from "../model/module-reports.ts";
import { countText, orDash } from "./format.ts";

const HASH_LENGTH = 12; // enough to tell modules apart

export function policyTable(policies: readonly PolicyReport[]): string {
  const columns: Column[] = [
    "policy",
    "state",
    "module",
    "source",
    { right: "addresses" },
    { right: "choices" },
    { right: "each" },
    "last error",
  ];
  const rows = policies.map((policy) => [
    policy.name,
    policy.state,
    orDash(policy.module, ({ sha256 }) => sha256.slice(0, HASH_LENGTH)),
    orDash(policy.module, ({ source }) => source),
    String(policy.addresses),
    String(policy.choices),
    orDash(policy.choiceUs, microsecondsText),
    orDash(policy.lastError, ({ message }) => message),
  ]);
  return renderTable(columns, rows);
}

export function policyText(policy: PolicyDetailReport): string {
  const fields = renderFields([
    ["policy", policy.name],
    ["state", policy.state],
    ["module", moduleText(policy.module)],
    ["previous", moduleText(policy.previous)],
    ["swap", swapText(policy.swap)],
    ["file", fileText(policy)],
    ["choices", `${policy.choices}${policy.choiceUs === null ? "" : `, ${microsecondsText(policy.choiceUs)} each`}`],
    ["faults", faultCountsText(policy.faults)],
    ["last error", faultText(policy.lastError)],
  ]);
  const shares = policy.shares.length === 0 ? "No address is bound to it.\n" : shareTable(policy.shares);
  return `${fields}\n${shares}`;
}

export function engineText(engine: EngineReport): string {
  return renderFields([
    ["module", moduleText(engine.module)],
    ["layout", `version ${engine.layoutVersion}`],
    ["previous", moduleText(engine.previous)],
    ["swap", swapText(engine.swap)],
    ["last error", faultText(engine.lastError)],
  ]);
}

export function dryRunText({ policy, sha256, flows, addresses }: DryRunReport): string {
  const hash = sha256.slice(0, HASH_LENGTH);
  if (addresses.length === 0) return `${hash} may be loaded; no address is bound to ${policy}.\n`;
  return `${hash} may be loaded; ${flows} new flows to each address would go to\n\n${spreadTable(addresses)}`;
}

function shareTable(shares: readonly AddressShareReport[]): string {
  const rows = shares.flatMap(({ service, address, flows, instances }) =>
    instances.map(({ number, node, flows: own }) => [
      service,
      address,
      `${number} on ${node}`,
      String(own),
      shareText(own, flows),
    ]),
  );
  return renderTable(["service", "address", "instance", { right: "flows" }, { right: "share" }], rows);
}

function spreadTable(addresses: readonly AddressSpreadReport[]): string {
  const rows = addresses.flatMap(({ service, address, instances, none }) =>
    [
      ...instances.map(({ number, node, ...flows }) => ({ to: `${number} on ${node}`, ...flows })),
      { to: "the engine's choice", ...none },
    ]
      .filter(({ to, now, after }) => to !== "the engine's choice" || after + (now ?? 0) > 0)
      .map(({ to, now, after }) => [service, address, to, orDash(now, String), String(after)]),
  );
  return renderTable(["service", "address", "instance", { right: "now" }, { right: "after" }], rows);
}

function moduleText(module: ModuleReport | null): string {
  if (module === null) return "-";
  const { sha256, sizeBytes, source, loadedAt } = module;
  return `${sha256}\n${countText(sizeBytes, "byte")}, ${source}, loaded ${loadedAt}`;
}

/** The last order counts, also after a restart. */
function fileText({ file, module }: PolicyDetailReport): string {
  if (file === null) return "-";
  return module?.source === file
    ? `${file}, in force`
    : `${file}, in force when it changes; until then the module above is`;
}

function swapText(swap: SwapReport | null): string {
  if (swap === null) return "-";
  return `all workers within ${swap.tookMs.toFixed(2)} ms, each paused for at most ${swap.pauseMs.toFixed(2)} ms`;
}

function faultText(fault: FaultReport | null): string {
  return orDash(fault, ({ at, message }) => `${message} (${at})`);
}

function faultCountsText(faults: PolicyFaultCounts): string {
  const found = Object.entries(faults).filter(([, count]) => count > 0);
  return found.length === 0 ? "none" : found.map(([kind, count]) => `${count} ${kind}`).join(", ");
}

function microsecondsText(us: number): string {
  return `${us.toFixed(2)} µs`;
}

function shareText(flows: number, all: number): string {
  return all === 0 ? "-" : `${((100 * flows) / all).toFixed(1)} %`;
}
