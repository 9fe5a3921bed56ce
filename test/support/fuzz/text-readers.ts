// The readers of texts: configuration, tables, what an orchestrator says, what processes say to each other.
import { pino } from "pino";
import { ConfigDocument } from "../../../src/control/config/config-document.ts";
import { parseDocument } from "../../../src/control/config/parse-text.ts";
import { netmanagerApp } from "../../../src/control/providers/oakestra/api.ts";
import { JobReader } from "../../../src/control/providers/oakestra/job-reader.ts";
import {
  jobOfTopic,
  Odd,
  readSubnetResult,
  readTableQueryResult,
} from "../../../src/control/providers/oakestra/messages.ts";
import { readSubnet } from "../../../src/control/providers/oakestra/subnet.ts";
import { parsePrefix } from "../../../src/net/address.ts";
import { RANGES, THIS_NODE, world } from "../world.ts";
import { Fault, type Reader, takesOrRefuses } from "./reader.ts";

const POLICIES = ["round-robin", "closest", "random"];
const CONFIG = `
node: { id: node-a, underlay: { address: 192.0.2.11, port: 50103, bind: 192.0.2.11 }, location: { latitude: 48.1, longitude: 11.5 } }
tun: { name: sapwood0, mtu: 1410, queues: 2, persist: true }
ranges: [10.30.0.0/16, "fdff::/16"]
flows: { limit: 4096, directory: /run/sapwood.flows }
observe: { listen: "127.0.0.1:9150" }
unknown: { ask: true, packets: 16, timeout: 2s }
nodes:
  - { id: node-b, underlay: { address: 192.0.2.12 }, accept: { anyPort: true } }
bindings: [{ prefix: "fdff:1000::/20", policy: random }]
services:
  - &a
    name: a
    addresses: [{ address: 10.30.0.1, policy: closest }, { address: 10.30.0.2, policy: round-robin }]
    health: { tcp: 80, interval: 2s }
    instances:
      - { number: 1, node: node-a, namespace: [10.101.3.23], addresses: [10.30.1.5], weight: 3 }
      - { number: 2, node: node-b, namespace: [10.18.3.1], addresses: [10.30.0.3], draining: true }
`;
const TABLES = JSON.stringify({
  nodes: [{ id: "node-b", underlay: { address: "192.0.2.12", port: 50103 } }],
  services: [
    {
      name: "b",
      addresses: [{ address: "10.30.0.2", policy: "round-robin" }],
      instances: [{ number: 1, node: "node-b", namespace: ["10.18.3.1"], addresses: ["10.30.0.3", "fdff::3"] }],
    },
  ],
});
const RESULT = JSON.stringify({
  app_name: "a.b.c.d",
  query_key: "10.30.0.2",
  instance_list: [
    {
      ...{ instance_number: 0, instance_ip: "10.30.0.3", instance_ip_v6: "fdff::3", namespace_ip: "10.18.3.1" },
      ...{ namespace_ip_v6: "fc00::3", host_ip: "192.0.2.12", host_port: "50103" },
      service_ip: [
        { IpType: "RR", Address: "10.30.0.2", Address_v6: "fdff:2000::1" },
        { IpType: "InstanceNumber", Address: "10.30.0.3", Address_v6: "fdff::3" },
      ],
    },
  ],
});
const encode = (text: string): Uint8Array => Buffer.from(text);
const text = (input: Uint8Array): string => new TextDecoder().decode(input);

const configReader: Reader = {
  name: "config",
  seeds: [encode(CONFIG)],
  words: ["<<: *a", "*a", "&b", "!!binary", "? ", "---\n", "...", "policies:", "weight", "wireguard", "/proc/self/mem"],
  read: (input) => {
    const options = { policies: POLICIES, inForce: world() };
    const name = "given";
    takesOrRefuses(() => parseDocument(new ConfigDocument(text(input), name), { kind: "config", name, options }));
  },
};

const tablesReader: Reader = {
  name: "tables",
  seeds: [encode(TABLES), encode(CONFIG.slice(CONFIG.indexOf("nodes:")))],
  words: ["nodes", "services", "weight", "draining", "remove", "accept", "10.30.0.0/33", "::ffff:10.30.0.1", "*a"],
  read: (input) => {
    const name = "given";
    const rules = { nodeId: THIS_NODE, ranges: RANGES.map(parsePrefix), policies: POLICIES, isEncrypted: false };
    const own = { address: "192.0.2.11", port: 50_103, bind: "192.0.2.11" };
    const options = { bindings: [], rules: { ...rules, own }, inForce: world(), allowEmpty: true };
    const patch = { bindings: [] };
    takesOrRefuses(() => parseDocument(new ConfigDocument(text(input), name), { kind: "tables", name, options }));
    takesOrRefuses(() => parseDocument(new ConfigDocument(text(input), name), { kind: "patch", name, options: patch }));
  },
};

/** What the broker of an Oakestra cluster delivers: a topic's name, a line feed, a payload. */
function mqttReader(): Reader {
  const told: string[] = [];
  const reader = new JobReader({
    sink: { nodeId: THIS_NODE, policies: () => POLICIES },
    ranges: RANGES.map(parsePrefix),
    own: { find: () => undefined, isOwnTunnel: () => false, isOwnNamespace: () => false },
    policyOf: () => undefined,
    source: "fuzz",
    tell: (sentence) => told.push(sentence),
  });
  const topics = ["nodes/65a0/net/tablequery/result", "jobs/a.b.c.d/updates_available"];
  return {
    name: "mqtt",
    seeds: [
      encode(`${topics[0]}\n${RESULT}`),
      encode(`${topics[1]}\n{"type": "DEPLOYMENT"}`),
      encode(`nodes/65a0/net/subnetwork/result\n{"address": "10.18.0.64", "addressv6": "fc00::100"}`),
    ],
    words: ["INSTANCE_LIST", "RR", "Closest", "service_ip", "host_ip", "10.30.255.255", "fdff::", "+", "#", "/"],
    read: (input) => {
      const at = Math.max(0, input.indexOf(10));
      jobOfTopic(text(input.subarray(0, at)));
      const payload = input.subarray(at + 1);
      const subnet = readSubnetResult(payload);
      if (!(subnet instanceof Odd)) readSubnet(subnet.address, subnet.addressv6);
      const result = readTableQueryResult(payload);
      if (result instanceof Odd) return;
      const { service, nodes } = reader.read("a.b.c.d", result.instance_list);
      for (const { node } of service.instances) {
        if (node !== THIS_NODE && !nodes.has(node)) throw new Fault(`an instance is on the unknown node ${node}`);
      }
      const longest = Math.max(0, ...told.splice(0).map((sentence) => sentence.length));
      if (longest > 4096) throw new Fault(`a sentence of ${longest} characters`);
    },
  };
}

/** A request of the NodeEngine: a path, a line feed, a body. */
function netmanagerReader(): Reader {
  const taken: unknown[] = [];
  const app = netmanagerApp(
    {
      register: async (...call) => void taken.push(call),
      deploy: async (order) => {
        taken.push(order);
        return { v4: "10.18.0.66", v6: "fc00::102" };
      },
      undeploy: async (...call) => void taken.push(call),
    },
    pino({ level: "silent" }),
  );
  const order = { serviceName: "a.b.c.d", instanceNumber: 0, pid: 1234, portMappings: "80:8080/tcp" };
  return {
    name: "netmanager",
    seeds: [
      encode(`/container/deploy\n${JSON.stringify(order)}`),
      encode('/register\n{"client_id":"65a0","cluster_address":"192.0.2.9"}'),
      encode('/docker/undeploy\n{"serviceName":"a.b.c.d","instanceNumber":0}'),
    ],
    words: ["/unikernel/deploy", "/wasm/deploy", "INSTANCENUMBER", "serviceName", "..", "%2e%2e", "4294967296"],
    read: async (input) => {
      taken.length = 0;
      const at = Math.max(0, input.indexOf(10));
      const path = `/${encodeURI(Buffer.from(input.subarray(0, at)).toString("latin1")).replace(/^\/+/, "")}`;
      const body = Buffer.from(input.subarray(at + 1));
      const { status } = await app.request(`http://node${path}`, { method: "POST", body });
      if (status !== 200 && (status < 400 || status > 499)) throw new Fault(`${path} was answered with ${status}`);
      if (status !== 200 && taken.length > 0) throw new Fault(`${path} was refused and carried out`);
    },
  };
}

export const TEXT_READERS: Readonly<Record<string, () => Promise<Reader>>> = {
  config: async () => configReader,
  tables: async () => tablesReader,
  mqtt: async () => mqttReader(),
  netmanager: async () => netmanagerReader(),
};
