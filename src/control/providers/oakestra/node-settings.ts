// The configuration of the proxy on a worker node, made of what NetManager's files say.

import type { PolicyFile } from "./policy-file.ts";
import type { Tuncfg } from "./tuncfg.ts";

interface NodeSettings {
  readonly address: string; // where the other nodes send to
  readonly tuncfg: Tuncfg;
  readonly controlSocket: string;
  readonly stateFolder: string;
  readonly policies: Pick<PolicyFile, "modules" | "probe">;
}

/** How long packets wait for an address: longer than a slow cluster manager takes to answer. */
const UNKNOWN_TIMEOUT = "6s";
/** The name by which instances of this node are known in its tables; worker ids come and go. */
const NODE_ID = "this-node";

/** As the configuration file has it (docs/configuration.md). */
export function nodeSettings({ address, tuncfg, controlSocket, stateFolder, policies }: NodeSettings): object {
  return {
    node: {
      id: NODE_ID,
      underlay: { address, port: tuncfg.port, bind: "::" },
      // A node learns of a client's node only when it answers.
      acceptStrangers: true,
    },
    tun: { name: tuncfg.device, mtu: tuncfg.mtu },
    ranges: tuncfg.ranges,
    unknown: { ask: true, timeout: UNKNOWN_TIMEOUT },
    policies: Object.fromEntries(Object.entries(policies.modules).map(([name, file]) => [name, { file }])),
    // Oakestra's own nodes know no probes, and write a line to their log for each.
    probe: { interval: policies.probe ?? 0 },
    control: { socket: controlSocket },
    state: { directory: stateFolder },
  };
}
