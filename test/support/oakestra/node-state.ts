// All of a node's network and of what its daemon remembers of it, as one text: the same before and after when nothing is
// left over.
import { readdirSync, readFileSync } from "node:fs";
import { netmanagerFile, type OakestraCluster } from "./cluster.ts";

const LINKS = { v4: ["link", "address", "route show table all"], v6: ["route show table all"] };
const NODE = { v4: [...LINKS.v4, "rule", "neigh show dev goProxyBridge nud all"], v6: [...LINKS.v6, "rule"] };

/**
 * Links, addresses, routes, neighbours, rules, and the state for the next start, of the node; namespaces of unikernels of
 * `job`; links, addresses and routes in the namespace of process `pid`, if there is one.
 */
export async function nodeState(cluster: OakestraCluster, node: string, job: string, pid?: number): Promise<string> {
  const { sandbox } = cluster.lab;
  const inside = pid === undefined ? "" : both(LINKS, `nsenter --net=/proc/${pid}/ns/net `);
  const show = `${both(NODE)}${inside}nft --stateless list ruleset`;
  const text = await sandbox.expect(["sh", "-c", show], node);
  const [network = "", ...tables] = text.split(/^(?=table )/m);
  const outside = (path: string) => sandbox.pathFromOutside(path);
  // The known services are saved at times of their own, as a draft for a moment.
  const files = readdirSync(outside(netmanagerFile(node, "")), { recursive: true, encoding: "utf8" });
  const kept = files.filter((file) => !/jobs\.json.*new$/.test(file)).sort();
  const namespaces = readdirSync(outside("/run/netns")).filter((name) => name.startsWith(job));
  const state = readFileSync(outside(netmanagerFile(node, "state/netmanager.json")), "utf8");
  return [withoutMoments(network), ...tables.sort(), ...namespaces, ...kept, state].join("\n");
}

/** By two processes, as tests look at this again and again. */
function both({ v4, v6 }: typeof LINKS, prefix = ""): string {
  const batch = (ip: string, lines: readonly string[]) => `${prefix}${ip} -batch - <<END\n${lines.join("\n")}\nEND\n`;
  return batch("ip", v4) + batch("ip -6", v6);
}

/**
 * Whether a bridge without ports has a carrier, and whether its link-local address is checked yet, is a matter of moments.
 * What multicast goes to is no neighbour.
 */
function withoutMoments(network: string): string {
  return network
    .replaceAll(/^fe80:.* (?:REACHABLE|STALE|DELAY|PROBE|FAILED).*$/gm, "")
    .replaceAll(/\bstate (?:UNKNOWN|DOWN|UP) |\btentative\b|NO-CARRIER,|,LOWER_UP|\blinkdown\b|^.* NOARP *$/gm, "")
    .replaceAll(/ +/g, " ")
    .replaceAll(/ $|\n(?=\n)/gm, "");
}
