// The shape of the config file: every field, its default and its limits. Rules between fields are in
// table-validation.ts. Messages say what was expected; config-document.ts adds what was found, and the line.

import * as z from "zod";
import * as FlowLayout from "../../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { POLICY_PAGES_MAX } from "../../../assembly/shared/policies.ts";
import { TUNNEL_PORT } from "../../../assembly/shared/sockets.ts";
import { parseByteSize } from "../../base/byte-size.ts";
import { parseDuration } from "../../base/duration.ts";
import { reasonOf } from "../../base/errors.ts";
import { LOG_LEVELS } from "../../base/log-levels.ts";
import { printableLine } from "../../base/printable.ts";
import {
  CAPACITY_LIMITS,
  DEFAULT_CAPACITIES,
  DEFAULT_OUTER_CLASS,
  DEFAULT_PASSIVE_HEALTH,
  DEFAULT_PROBE_INTERVAL_MS,
  DEFAULT_TIMEOUTS_MS,
} from "../../memory/shared-memory.ts";
import { canonicalName, isName, NAME_RULE } from "../../model/names.ts";
import {
  DEFAULT_POLICY_TIME_MS,
  INSTANCE_ADDRESS,
  isPolicyName,
  POLICY_NAME_RULE,
  policyName,
} from "../../model/policy-names.ts";
import { READY_PEERS } from "../../model/reports.ts";
import { defaultSocket } from "../../model/socket-path.ts";
import { ENCRYPTIONS } from "../../model/tables.ts";
import { parsePrefix } from "../../net/address.ts";
import * as Bulk from "../../net/bulk-address.ts";
import { parseListener } from "../../net/listener.ts";
import { isWireguardKey, WIREGUARD_PORT } from "../../net/wireguard-key.ts";
import { WIREGUARD_BACKENDS } from "../../sys/wireguard.ts";
import { between, list, section, whole } from "./schema-parts.ts";

/** Ages are compared modulo 2^32 ms. */
const TIMEOUT_MAX_MS = 2_073_600_000; // 576h
const PROBE_INTERVAL_MIN_MS = 10;
const PROBE_INTERVAL_MAX_MS = 3_600_000;
/**
 * No character that the kernel refuses (dev_valid_name) or takes for a number of its own (%d), and none that is not
 * seen; no name that the kernel keeps for itself (the loopback device, and folders below /proc/sys/net/ipv4/conf).
 */
const INTERFACE_NAME = /^(?!(?:\.{1,2}|lo|all|default)$)[^\s/:%\p{C}]+$/u;
/** IFNAMSIZ without the final zero. */
export const INTERFACE_NAME_BYTES_MAX = 15;
const PARK_TIME_MAX_MS = 60_000;
const PARK_BYTES_MAX = 2 ** 20; // the area that holds packets has not much more
const POLICY_TIME_MAX_MS = 10_000;
const POLICY_MEMORY_MAX_BYTES = 2 ** 30;
const DSCP_MAX = 63; // six bits (RFC 2474)
const SENDER_ADDRESSES_MAX = 8;
const HEALTH_INTERVAL_MIN_MS = 100;
const HEALTH_INTERVAL_MAX_MS = 3_600_000;
const HEALTH_TIMEOUT_MIN_MS = 10;
const HEALTH_TIMEOUT_MAX_MS = 60_000;
const HEALTH_THRESHOLD_MAX = 100;
const PASSIVE_PAUSE_MIN_MS = 100;
const PASSIVE_PAUSE_MAX_MS = 3_600_000;
const DEFAULT_HEALTH_INTERVAL_MS = 5000;
const DEFAULT_HEALTH_TIMEOUT_MS = 2000;
/** Path and query of a request line (RFC 9112 section 3.2.1). */
const HTTP_PATH = /^\/[\x21-\x7e]{0,2047}$/;
export const DEFAULT_RANGES = ["10.30.0.0/16", "fdff::/16"];

const text = z.string("expected text");
const name = text.transform(canonicalName).refine(isName, `expected ${NAME_RULE}`);
const flag = z.boolean("expected true or false");
const flagOrAuto = z.union([z.literal("auto"), z.boolean()], "expected auto, true or false");
const port = whole(1, 65_535, "a port");
const interfaceName = text.refine(
  (name) => INTERFACE_NAME.test(name) && Buffer.byteLength(name) <= INTERFACE_NAME_BYTES_MAX,
  `expected an interface name of 1 to ${INTERFACE_NAME_BYTES_MAX} bytes without spaces, /, : and %, and none of lo, all and default`,
);

const address = text.transform((value, context) => {
  const canonical = Bulk.canonicalAddress(value);
  if (canonical !== undefined) return canonical;
  context.addIssue("expected an IPv4 or IPv6 address");
  return z.NEVER;
});

const prefix = text.transform((value, context) => {
  try {
    return parsePrefix(value);
  } catch (error) {
    context.addIssue(printableLine(reasonOf(error)));
    return z.NEVER;
  }
});

/** All addresses of a prefix may have a policy in common, not an instance. */
const boundPolicy = name
  .refine((value) => value !== INSTANCE_ADDRESS, `expected the name of a policy`)
  .transform(policyName);

const location = section({
  latitude: between(-90, 90, "degrees"),
  longitude: between(-180, 180, "degrees"),
});

/** Address and port of a TCP listener. */
const listener = text.transform((value, context) => {
  const found = parseListener(value);
  if (found !== undefined) return found;
  context.addIssue("expected an address and a port like 127.0.0.1:9150 or [::1]:9150");
  return z.NEVER;
});

const wireguardKey = text.refine(isWireguardKey, "expected a WireGuard key, 44 characters of base64");

const encryption = z.enum(ENCRYPTIONS, 'expected "wireguard" or "none"');

const node = section({
  id: name,
  underlay: section({
    address,
    port: port.default(TUNNEL_PORT),
    wireguardPort: port.optional(),
    encryption: encryption.optional(),
  }),
  accept: section({
    anyPort: flag.default(false),
    addresses: list(address)
      .max(SENDER_ADDRESSES_MAX, `expected at most ${SENDER_ADDRESSES_MAX} addresses`)
      .default([]),
    anyAddress: flag.default(false),
    unknownSources: flag.default(false),
  }).optional(),
  publicKey: wireguardKey.optional(),
  nextPublicKey: wireguardKey.optional(),
  location: location.optional(),
});

const ownNode = section({
  id: name,
  underlay: section({
    address,
    port: port.default(TUNNEL_PORT),
    bind: address.optional(),
    encryption: encryption.default("none"),
    wireguardPort: port.default(WIREGUARD_PORT),
    wireguardBackend: z
      .enum(["auto", ...WIREGUARD_BACKENDS], `expected auto, ${WIREGUARD_BACKENDS.join(" or ")}`)
      .default("auto"),
    wireguardDevice: interfaceName.optional(),
  }),
  acceptStrangers: flag.default(false),
  location: location.optional(),
});

const instance = section({
  number: whole(0, 0xffff_ffff, "an instance number"),
  node: name,
  namespace: list(address),
  addresses: list(address).default([]),
  weight: whole(1, 65_535, "a weight").default(1),
  draining: flag.default(false),
}).transform(({ namespace, addresses, ...rest }) => ({
  ...rest,
  namespaceAddresses: namespace,
  instanceAddresses: addresses,
}));

const serviceAddress = section({
  address,
  policy: name.transform(policyName).optional(),
  instance: whole(0, 0xffff_ffff, "an instance number").optional(),
});

/** That exactly one kind of check is asked for is a rule between fields. */
const health = section({
  tcp: port.optional(),
  http: text.refine((path) => HTTP_PATH.test(path), "expected a path like /ready").optional(),
  port: port.optional(),
  icmp: z.literal(true, "expected true").optional(),
  interval: duration(HEALTH_INTERVAL_MIN_MS, HEALTH_INTERVAL_MAX_MS).default(DEFAULT_HEALTH_INTERVAL_MS),
  timeout: duration(HEALTH_TIMEOUT_MIN_MS, HEALTH_TIMEOUT_MAX_MS).optional(),
  healthy: whole(1, HEALTH_THRESHOLD_MAX, "a number of checks").default(2),
  unhealthy: whole(1, HEALTH_THRESHOLD_MAX, "a number of checks").default(3),
}).transform(({ timeout, ...rest }) => ({
  ...rest,
  timeout: timeout ?? Math.min(DEFAULT_HEALTH_TIMEOUT_MS, rest.interval),
}));

export const serviceSchema = section({
  name,
  addresses: list(serviceAddress).default([]),
  instances: list(instance).default([]),
  health: health.optional(),
});

const tables = { nodes: list(node).default([]), services: list(serviceSchema).default([]) };

/** Whether a change may take away the last node, service, service address or instance. */
const allowEmpty = flag.default(false);

export const tablesSchema = section({ ...tables, allowEmpty });

export const tablesPatchSchema = section({
  ...tables,
  remove: section({ nodes: list(name).default([]), services: list(name).default([]) }).prefault({}),
  allowEmpty,
});

export const configSchema = section({
  node: ownNode,
  tun: section({
    name: interfaceName.default("sapwood0"),
    mtu: z
      .literal("auto")
      .or(whole(1280, 65_535, "auto or an MTU"))
      .default("auto"),
    queues: z
      .literal("auto")
      .or(whole(1, WorkerLayout.MAX, "auto or a number of queues"))
      .default("auto"),
    persist: flagOrAuto.default("auto"),
    keep: flag.default(false),
  }).prefault({}),
  latency: z.enum(["normal", "low"], "expected normal or low").default("normal"),
  ranges: list(prefix)
    .min(1, "expected at least one range")
    .max(HeaderLayout.RANGE_MAX, `expected at most ${HeaderLayout.RANGE_MAX} ranges`)
    .prefault(DEFAULT_RANGES),
  flows: section({
    limit: whole(1, FlowLayout.LIMIT_MAX, "a number of flows").default(DEFAULT_CAPACITIES.flows),
    timeouts: section({
      udpUnreplied: duration(1, TIMEOUT_MAX_MS).default(DEFAULT_TIMEOUTS_MS.udpUnreplied),
      udpStream: duration(1, TIMEOUT_MAX_MS).default(DEFAULT_TIMEOUTS_MS.udpStream),
      tcpOpening: duration(1, TIMEOUT_MAX_MS).default(DEFAULT_TIMEOUTS_MS.tcpOpening),
      tcpEstablished: duration(1, TIMEOUT_MAX_MS).default(DEFAULT_TIMEOUTS_MS.tcpEstablished),
      tcpHalfClosed: duration(1, TIMEOUT_MAX_MS).default(DEFAULT_TIMEOUTS_MS.tcpHalfClosed),
      tcpClosed: duration(1, TIMEOUT_MAX_MS).default(DEFAULT_TIMEOUTS_MS.tcpClosed),
      icmpQuery: duration(1, TIMEOUT_MAX_MS).default(DEFAULT_TIMEOUTS_MS.icmpQuery),
      otherUnreplied: duration(1, TIMEOUT_MAX_MS).default(DEFAULT_TIMEOUTS_MS.otherUnreplied),
      otherStream: duration(1, TIMEOUT_MAX_MS).default(DEFAULT_TIMEOUTS_MS.otherStream),
    }).prefault({}),
    keep: flag.default(true),
    directory: text.min(1, "expected a path").optional(),
  }).prefault({}),
  unknown: section({
    ask: flag.default(false),
    timeout: duration(1, PARK_TIME_MAX_MS).default(3000),
    packets: whole(1, 512, "a number of packets").default(16),
    bytes: byteSize(65_536, PARK_BYTES_MAX).default(PARK_BYTES_MAX),
  }).prefault({}),
  tables: section({
    addresses: whole(1, CAPACITY_LIMITS.addresses.max, "a number of addresses").default(DEFAULT_CAPACITIES.addresses),
    instances: whole(1, CAPACITY_LIMITS.instances.max, "a number of instances").default(DEFAULT_CAPACITIES.instances),
    workloads: whole(1, CAPACITY_LIMITS.workloads.max, "a number of addresses").default(DEFAULT_CAPACITIES.workloads),
    nodes: whole(1, CAPACITY_LIMITS.nodes.max, "a number of nodes").default(DEFAULT_CAPACITIES.nodes),
  }).prefault({}),
  probe: section({
    interval: duration(PROBE_INTERVAL_MIN_MS, PROBE_INTERVAL_MAX_MS, true).default(DEFAULT_PROBE_INTERVAL_MS),
  }).prefault({}),
  passiveHealth: section({
    enabled: flag.default(true),
    failures: whole(1, HEALTH_THRESHOLD_MAX, "a number of flows").default(DEFAULT_PASSIVE_HEALTH.failures),
    pause: duration(PASSIVE_PAUSE_MIN_MS, PASSIVE_PAUSE_MAX_MS).default(DEFAULT_PASSIVE_HEALTH.pauseMs),
    unanswered: duration(PASSIVE_PAUSE_MIN_MS, HEALTH_TIMEOUT_MAX_MS).default(DEFAULT_PASSIVE_HEALTH.unansweredMs),
  }).prefault({}),
  offloads: section({
    tunTcp: flag.default(true),
    tunUdp: flag.default(true),
    udpGso: flag.default(true),
    udpGro: flag.default(true),
  }).prefault({}),
  tunnel: section({
    dscp: z
      .literal("copy")
      .or(whole(0, DSCP_MAX, "copy or a DSCP"))
      .default(DEFAULT_OUTER_CLASS.dscp),
    ecn: z.enum(["auto", "copy", "clear"], "expected auto, copy or clear").default(DEFAULT_OUTER_CLASS.ecn),
  }).prefault({}),
  tcp: section({ clampMss: flag.default(true) }).prefault({}),
  errors: section({
    icmp: flag.default(true),
    reset: flag.default(true),
    lostNode: z.enum(["icmp", "reset", "none"], "expected icmp, reset or none").default("icmp"),
  }).prefault({}),
  control: section({ socket: text.min(1, "expected a path").default(defaultSocket) }).prefault({}),
  state: section({ directory: text.min(1, "expected a path").optional() }).prefault({}),
  guard: section({
    routes: flagOrAuto.default("auto"),
    keep: flag.default(false),
    workloads: flag.default(true),
  }).prefault({}),
  observe: section({
    listen: listener.optional(),
    token: text.min(1, "expected a path").optional(),
    hosts: list(name).default([]),
    readyPeers: z.enum(READY_PEERS, `expected one of ${READY_PEERS.join(", ")}`).default("any"),
  }).prefault({}),
  log: section({
    level: z.enum(LOG_LEVELS, `expected one of ${LOG_LEVELS.join(", ")}`).default("info"),
  }).prefault({}),
  policies: z
    .record(
      text.transform(canonicalName).refine(isPolicyName, `expected ${POLICY_NAME_RULE}`),
      section({ file: text.min(1, "expected a path") }),
      "expected names of policies, each with its file",
    )
    .default({}),
  bindings: list(section({ prefix, policy: boundPolicy })).default([]),
  policyLimits: section({
    time: duration(1, POLICY_TIME_MAX_MS).default(DEFAULT_POLICY_TIME_MS),
    memory: byteSize(65_536, POLICY_MEMORY_MAX_BYTES).default(POLICY_PAGES_MAX * 65_536),
  }).prefault({}),
  ...tables,
  allowEmpty,
});

/** What says where the state of a node is; the other sections may be wrong. */
export const stateSchema = z.looseObject({
  node: z.looseObject({ id: name }, "expected fields (id, ...)"),
  state: configSchema.shape.state,
});

/** Milliseconds from a text like "30s". */
function duration(leastMs: number, mostMs: number, mayBeZero = false) {
  const range = `from ${leastMs}ms to ${mostMs}ms${mayBeZero ? ", or 0 for never" : ""}`;
  const expected = `expected a duration like 400ms, 30s, 5m or 24h, ${range}`;
  return z.union([z.string(), z.number()], expected).transform((value, context) => {
    const ms = parseDuration(value);
    if (ms !== undefined && ((ms >= leastMs && ms <= mostMs) || (mayBeZero && ms === 0))) return ms;
    context.addIssue(expected);
    return z.NEVER;
  });
}

/** Bytes from a text like "16MiB". */
function byteSize(leastBytes: number, mostBytes: number) {
  const expected = `expected a size like 512KiB or 16MiB, from ${leastBytes / 1024}KiB to ${mostBytes / 2 ** 20}MiB`;
  return z.union([z.string(), z.number()], expected).transform((value, context) => {
    const bytes = parseByteSize(value);
    if (bytes !== undefined && bytes >= leastBytes && bytes <= mostBytes) return bytes;
    context.addIssue(expected);
    return z.NEVER;
  });
}
