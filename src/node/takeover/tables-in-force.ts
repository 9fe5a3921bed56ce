// The tables of the running process, for the one that takes over from it.

import type { Config } from "../../control/config/config.ts";
import { readText } from "../../control/config/text-reader.ts";
import { knownPolicies } from "../../control/state/module-store.ts";
import type { Tables } from "../../model/tables.ts";
import type { Takeover } from "./takeover.ts";

/** Read as if somebody had sent them. Throws config-invalid or tables-invalid. */
export async function tablesInForce(config: Config, takeover: Takeover): Promise<Tables> {
  const { node, ranges, bindings, policies, state } = config;
  const rules = {
    nodeId: node.id,
    ranges,
    policies: [...new Set([...knownPolicies(state.directory), ...Object.keys(policies)])],
    own: node.underlay,
    isEncrypted: false,
  };
  const text = await takeover.tables();
  const options = { bindings, rules, inForce: { nodes: [], services: [] }, allowEmpty: true };
  return await readText(text, { kind: "tables", name: "the tables in force", options });
}
