// The records of the memory map, with the size of each field.

import * as AddressLayout from "../../assembly/shared/layout/address.ts";
import * as CallerLayout from "../../assembly/shared/layout/caller.ts";
import * as CandidateLayout from "../../assembly/shared/layout/candidate.ts";
import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import * as FragmentLayout from "../../assembly/shared/layout/fragment.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as HealthPageLayout from "../../assembly/shared/layout/health-page.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as NodeLayout from "../../assembly/shared/layout/node.ts";
import * as NodeMetricsLayout from "../../assembly/shared/layout/node-metrics.ts";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import * as RefusalLayout from "../../assembly/shared/layout/refusal.ts";
import * as ServiceLayout from "../../assembly/shared/layout/service.ts";
import * as VerdictNoteLayout from "../../assembly/shared/layout/verdict-note.ts";
import * as WaitingLayout from "../../assembly/shared/layout/waiting.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";

/** At least as much as wire/packet.ts notes of the packet in hand. */
const SCRATCH_SIZE = 256;
/** At least as much as nat/passage.ts notes. */
const PASSAGE_SIZE = 64;

interface Field {
  readonly bytes: number;
  readonly align?: number; // when it is not the size: arrays
}

/** The constants of assembly/shared/layout, by namespace. */
export const LAYOUTS = {
  AddressLayout,
  CallerLayout,
  CandidateLayout,
  FlowLayout,
  FragmentLayout,
  HeaderLayout,
  HealthPageLayout,
  InstanceLayout,
  KernelLayout,
  NodeLayout,
  NodeMetricsLayout,
  ProbeLayout,
  RefusalLayout,
  ServiceLayout,
  VerdictNoteLayout,
  WaitingLayout,
  WorkerLayout,
} as const;

export interface LayoutRecord {
  readonly layout: keyof typeof LAYOUTS; // where its fields are
  readonly size: number;
  readonly fields: Readonly<Record<string, Field>>;
}

const u8: Field = { bytes: 1 };
const u16: Field = { bytes: 2 };
const u32: Field = { bytes: 4 };
const u64: Field = { bytes: 8 };
const address: Field = { bytes: 16, align: 8 };
const endpoints: Field = { bytes: 2 * NodeLayout.ENDPOINT_SIZE, align: NodeLayout.ENDPOINT_SIZE };
const page: Field = { bytes: HealthPageLayout.SIZE, align: 8 };

function array(count: number, elementSize: number, align = Math.min(elementSize & -elementSize, 64)): Field {
  return { bytes: count * elementSize, align };
}

/** The name that the sources use for a field of a record. */
export function fieldName(record: LayoutRecord, field: string): string {
  return `${record.layout}.${field}`;
}

export const RECORDS: Readonly<Record<string, LayoutRecord>> = {
  header: {
    layout: "HeaderLayout",
    size: HeaderLayout.SIZE,
    fields: {
      LAYOUT_VERSION: u32,
      GENERATION: u32,
      WORKER_COUNT: u32,
      FLOW_LIMIT: u32,
      FLOW_BUCKET_MASK: u32,
      ADDRESS_MASK: u32,
      WORKLOAD_MASK: u32,
      SENDER_MASK: u32,
      RANGE_COUNT: u32,
      NODE_COUNT: u32,
      METRICS_EPOCH: u32,
      FLOW_COUNT: u32,
      FLOW_ROOM: u32,
      UNBOUND_END_MS: u32,
      FLOW_NEXT: u32,
      PROBE_INTERVAL_MS: u32,
      FLOW_FREE: u64,
      OFFLOADS: u32,
      OUTER_CLASS: u32,
      GSO_TRIAL: u32,
      TUN_MTU: u32,
      ANSWERS: u32,
      PROBE_KEY: { bytes: 16, align: 8 },
      PROBE_NONCES: u64,
      ATTENTIVE_MS: u32,
      ATTENDED_MS: u32,
      HEALTH_EPOCH: u32,
      PROBE_PAUSE_MS: u32,
      PARK_MS: u32,
      PARK_PACKETS: u32,
      PARK_BYTES: u32,
      REFUSAL_COUNT: u32,
      CLIENT_COUNT: u32,
      REPAIR: u32,
      OWN_ADDRESS_COUNT: u32,
      REFUSALS: array(RefusalLayout.MAX, RefusalLayout.SIZE),
      REGIONS: array(Region.count, 4),
      TIMEOUTS_MS: array(FlowState.count, 4),
      FLOW_HASH_KEY: array(HeaderLayout.FLOW_HASH_KEY_WORDS, 8),
      ADDRESS_HASH_KEY: array(HeaderLayout.ADDRESS_HASH_KEY_WORDS, 8),
      RANGES: array(HeaderLayout.RANGE_MAX, HeaderLayout.RANGE_SIZE),
    },
  },
  "address slot": {
    layout: "AddressLayout",
    size: AddressLayout.SLOT_SIZE,
    fields: { KEY: address, VERSION: u32, VALUES: array(2, 4), STATE: u32 },
  },
  service: {
    layout: "ServiceLayout",
    size: ServiceLayout.SIZE,
    fields: {
      KIND: u32,
      POLICY: u32,
      ID: u32,
      REVISION: u32,
      CANDIDATE_COUNT: u32,
      CANDIDATES: u32,
      FAMILY: u32,
    },
  },
  candidate: {
    layout: "CandidateLayout",
    size: CandidateLayout.SIZE,
    fields: { INSTANCE: u32, WEIGHT: u16, FLAGS: u16 },
  },
  instance: {
    layout: "InstanceLayout",
    size: InstanceLayout.SIZE,
    fields: {
      NAMESPACE_V4: address,
      NAMESPACE_V6: address,
      ADDRESS_V4: address,
      ADDRESS_V6: address,
      NODE: u32,
      INCARNATION: u32,
      DIED: u32,
      NUMBER: u32,
      VERSION: u32,
      HEALTH: u32,
    },
  },
  "place of an instance": {
    layout: "InstanceLayout",
    size: InstanceLayout.PLACE_SIZE,
    fields: {
      NAMESPACE_V4: address,
      NAMESPACE_V6: address,
      ADDRESS_V4: address,
      ADDRESS_V6: address,
      NODE: u32,
    },
  },
  "instance load": {
    layout: "InstanceLayout",
    size: InstanceLayout.LOAD_SIZE,
    fields: { LOAD_SERVED: u64, LOAD_CALLED: u64 },
  },
  node: {
    layout: "NodeLayout",
    size: NodeLayout.SIZE,
    fields: { VERSION: u32, STATE: u32, DISTANCE_KM: u32, WANTED_PAGE: u32, ENDPOINTS: endpoints },
  },
  sockaddr: {
    layout: "KernelLayout",
    size: KernelLayout.SOCKADDR_SIZE,
    fields: {
      SOCKADDR_FAMILY: u16,
      SOCKADDR_PORT: u16,
      SOCKADDR_ADDRESS: { bytes: 16, align: 4 },
    },
  },
  endpoint: { layout: "NodeLayout", size: NodeLayout.ENDPOINT_SIZE, fields: { ENDPOINT_ACCEPTS: u32 } },
  "node metrics": {
    layout: "NodeMetricsLayout",
    size: NodeMetricsLayout.SIZE,
    fields: {
      RTT_US: u32,
      RTT_SAMPLES: array(NodeMetricsLayout.RTT_SAMPLE_COUNT, 4, 4),
      RTT_NEXT: u32,
      TOLD_REVISION: u32,
      TAKES_ECN: u32,
      HEALTH: u32,
      MTU: u32,
      WHOLE: u32,
      GSO_REFUSED: u32,
      SINCE_US: u64,
      HEARD_US: u64,
      LARGE_SENT: u32,
      REFUSED: u32,
      HINT: u32,
      DEVICE_MTU: u32,
      PROBES_SENT: u32,
      ANSWERED: u32,
      PROBED_MS: u32,
      DOUBT: u32,
      SIZE_TRIAL: u32,
      SIZE_TRIES: u32,
      SIZE_LOW: u32,
      SIZE_HIGH: u32,
      SIZE_GUESS: u32,
      SIZE_WITNESS: u32,
      SIZE_TRIED_MS: u32,
      SIZE_CHECKED_MS: u32,
      SIZE_RAISED_MS: u32,
      SIZE_PASSED: u32,
      SIZE_NEXT: u32,
      SIZE_STATE: u32,
      SIZE_HINTED_MS: u32,
      PROBES: array(NodeMetricsLayout.PROBE_COUNT, NodeMetricsLayout.PROBE_NOTE_SIZE),
      SIZE_PROBES: array(NodeMetricsLayout.SIZE_PROBE_COUNT, NodeMetricsLayout.PROBE_NOTE_SIZE),
    },
  },
  "probe note": {
    layout: "NodeMetricsLayout",
    size: NodeMetricsLayout.PROBE_NOTE_SIZE,
    fields: { PROBE_NOTE_NONCE: u64, PROBE_NOTE_SENT_US: u64, PROBE_NOTE_SENT_MS: u32, PROBE_NOTE_VALUE: u32 },
  },
  "flow bucket": {
    layout: "FlowLayout",
    size: FlowLayout.BUCKET_SIZE,
    fields: { BUCKET_LOCK: u32, BUCKET_ENTRIES: array(FlowLayout.BUCKET_ENTRY_COUNT, 4) },
  },
  flow: {
    layout: "FlowLayout",
    size: FlowLayout.SIZE,
    fields: {
      CLIENT: address,
      CALLED: address,
      CLIENT_INSTANCE_ADDRESS: address,
      TARGET: address,
      TARGET_INSTANCE_ADDRESS: address,
      CLIENT_PORT: u16,
      CALLED_PORT: u16,
      PROTOCOL: u8,
      STATE: u8,
      SEEN: u8,
      WINDOW_SCALES: u8,
      WIRE_PORT: u16,
      NODE: u16,
      INSTANCE: u32,
      INSTANCE_INCARNATION: u32,
      CLIENT_INSTANCE: u32,
      CLIENT_INCARNATION: u32,
      CONFIRMED: u32,
      FORWARD_TCP: u64,
      REVERSE_TCP: u64,
      LAST_USED_MS: u32,
      FORWARD_DELTA: u16,
      REVERSE_DELTA: u16,
      FORWARD_PACKETS: u32,
      REVERSE_PACKETS: u32,
      ANSWERED: address,
      SEAL: u64,
    },
  },
  "free flow": { layout: "FlowLayout", size: FlowLayout.SIZE, fields: { FREE_NEXT: u32 } },
  probe: {
    layout: "ProbeLayout",
    size: ProbeLayout.SIZE,
    fields: {
      VERSION_AT: u8,
      TYPE_AT: u8,
      NODE_AT: u32,
      NONCE_AT: u64,
      ABILITIES_AT: u32,
      PAGE_AT: u32,
    },
  },
  "probe that is an answer": {
    layout: "ProbeLayout",
    size: ProbeLayout.SIZE,
    fields: { ABILITIES_AT: u32, REVISION_AT: u32 },
  },
  "health page": {
    layout: "HealthPageLayout",
    size: HealthPageLayout.SIZE,
    fields: {
      NUMBER: u16,
      COUNT: u16,
      ADDRESS_COUNT: u16,
      ABOVE: address,
      UP_TO: address,
      ADDRESSES: array(HealthPageLayout.ADDRESS_MAX, 16, 8),
    },
  },
  "head of the health pages": {
    layout: "HealthPageLayout",
    size: HealthPageLayout.HEAD,
    fields: { SEQUENCE: u32, PAGE_COUNT: u32 },
  },
  "health page that came": {
    layout: "HealthPageLayout",
    size: HealthPageLayout.RECEIVED_SIZE,
    fields: { RECEIVED_TURN: u32, RECEIVED_NODE: u32, RECEIVED_REVISION: u32, RECEIVED_PAGE: page },
  },
  mmsghdr: {
    layout: "KernelLayout",
    size: KernelLayout.MMSGHDR_SIZE,
    fields: {
      MMSGHDR_NAME: u64,
      MMSGHDR_NAME_LENGTH: u32,
      MMSGHDR_IOV: u64,
      MMSGHDR_IOV_COUNT: u64,
      MMSGHDR_CONTROL: u64,
      MMSGHDR_CONTROL_LENGTH: u64,
      MMSGHDR_FLAGS: u32,
      MMSGHDR_LENGTH: u32,
      MMSGHDR_FRAGMENTS: u32,
    },
  },
  "TUN write": {
    layout: "WorkerLayout",
    size: WorkerLayout.TUN_TX_SIZE,
    fields: { TUN_TX_IOV: u64, TUN_TX_IOV_COUNT: u32, TUN_TX_PACKETS: u32 },
  },
  worker: {
    layout: "WorkerLayout",
    size: WorkerLayout.SIZE,
    fields: {
      SEQUENCE: u32,
      GENERATION: u32,
      UDP_TX_COUNT: u32,
      TUN_TX_COUNT: u32,
      EVICT_CURSOR: u32,
      SWEEP_CURSOR: u32,
      PORT_CURSOR: u32,
      PORT_TRIES: u32,
      INCARNATION: u32,
      LOCKING: u32,
      NOTING: u32,
      NOTE_COUNT: u32,
      UDP_TX_FRAGMENTED: u32,
      LIMBO_YOUNG: u32,
      LIMBO_OLD: u32,
      LIMBO_SEQUENCES: array(WorkerLayout.MAX, 4),
      WAITING_FRAGMENTS: { bytes: WaitingLayout.ROW_SIZE, align: 16 },
      WAITING_PARKED: { bytes: WaitingLayout.ROW_SIZE, align: 16 },
      RELEASED_FIRST: u32,
      FRAGMENT_NEXT: u32,
      REFUSAL_COUNT: u32,
      AGE_CURSOR: u32,
      PAGES_RECEIVED: u32,
      FRAGMENT_KEY: { bytes: FragmentLayout.KEY_SIZE, align: 64 },
      ERROR_NAME: { bytes: NodeLayout.ENDPOINT_SIZE, align: 8 },
      ERROR_QUOTE: { bytes: WorkerLayout.ERROR_QUOTE_SIZE, align: 16 },
      COUNTERS: array(WorkerLayout.COUNTER_MAX, 8),
      EGRESS_DROPS: array(WorkerLayout.DROP_REASON_MAX, 8),
      INGRESS_DROPS: array(WorkerLayout.DROP_REASON_MAX, 8),
      SCRATCH: { bytes: SCRATCH_SIZE, align: 64 },
      PASSAGE: { bytes: PASSAGE_SIZE, align: 64 },
      PREFETCH: array(WorkerLayout.BATCH_SIZE, 8),
      TUN_LENGTHS: array(WorkerLayout.BATCH_SIZE, 4),
      UDP_RX: array(WorkerLayout.BATCH_SIZE, KernelLayout.MMSGHDR_SIZE),
      UDP_RX_IOVECS: array(WorkerLayout.BATCH_SIZE, KernelLayout.IOVEC_SIZE),
      UDP_RX_NAMES: array(WorkerLayout.BATCH_SIZE, NodeLayout.ENDPOINT_SIZE),
      UDP_RX_CONTROLS: array(WorkerLayout.BATCH_SIZE, KernelLayout.CONTROL_SIZE),
      UDP_TX: array(WorkerLayout.UDP_TX_MAX, KernelLayout.MMSGHDR_SIZE),
      UDP_TX_CONTROLS: array(WorkerLayout.UDP_TX_MAX, WorkerLayout.UDP_TX_CONTROL_SIZE),
      UDP_TX_NAMES: array(WorkerLayout.UDP_TX_MAX, NodeLayout.ENDPOINT_SIZE),
      UDP_RETRY: array(WorkerLayout.UDP_RETRY_MAX, KernelLayout.MMSGHDR_SIZE),
      TUN_TX: array(WorkerLayout.TUN_TX_MAX, WorkerLayout.TUN_TX_SIZE),
      TX_IOVECS: array(WorkerLayout.IOVEC_MAX, KernelLayout.IOVEC_SIZE),
      TX_HEADERS: { bytes: WorkerLayout.TX_HEADERS_SIZE, align: 64 },
      TUN_SLOTS: array(WorkerLayout.BATCH_SIZE, WorkerLayout.SLOT_SIZE),
      UDP_SLOTS: array(WorkerLayout.BATCH_SIZE, WorkerLayout.SLOT_SIZE),
      FRAGMENT_HEADS: array(FragmentLayout.MAX, 2),
      FRAGMENTS: array(FragmentLayout.MAX, FragmentLayout.SIZE),
      HELD: array(WaitingLayout.HOLD_BLOCK_COUNT, WaitingLayout.HELD_SIZE),
      HOLD_BLOCKS: array(WaitingLayout.HOLD_BLOCK_COUNT, WaitingLayout.HOLD_BLOCK_SIZE),
      REFUSED: array(RefusalLayout.REFUSED_MAX, RefusalLayout.SIZE),
      CALLERS: array(CallerLayout.MAX, CallerLayout.SIZE),
      SHARES: array(WaitingLayout.SHARE_MAX, WaitingLayout.SHARE_SIZE),
      PADDING: { bytes: WorkerLayout.PADDING_SIZE, align: 64 },
      NOTES: array(VerdictNoteLayout.MAX, VerdictNoteLayout.SIZE),
      RECEIVED_PAGES: array(HealthPageLayout.RECEIVED_MAX, HealthPageLayout.RECEIVED_SIZE),
    },
  },
  "verdict note": {
    layout: "VerdictNoteLayout",
    size: VerdictNoteLayout.SIZE,
    fields: { AT: u32, LENGTH: u32, VERDICT: u32, FLOW: u32 },
  },
  "row of waiting packets": {
    layout: "WaitingLayout",
    size: WaitingLayout.ROW_SIZE,
    fields: { ROW_FIRST: u32, ROW_LAST: u32, ROW_COUNT: u32, ROW_BYTES: u32 },
  },
  share: { layout: "WaitingLayout", size: WaitingLayout.SHARE_SIZE, fields: { SHARE_OWNER: u32, SHARE_BLOCKS: u32 } },
  caller: { layout: "CallerLayout", size: CallerLayout.SIZE, fields: { AT_MS: u32, PAIR: u32 } },
  refusal: {
    layout: "RefusalLayout",
    size: RefusalLayout.SIZE,
    fields: { ADDRESS: address, AT_MS: u32, REFUSED_OWNER: u32, REFUSED_IS_DENIAL: u32 },
  },
  "first fragment": {
    layout: "FragmentLayout",
    size: FragmentLayout.SIZE,
    fields: {
      SOURCE: address,
      DESTINATION: address,
      SENDER: u32,
      ID: u32,
      PROTOCOL: u32,
      NODE: u32,
      SINCE_MS: u32,
      NEW_SOURCE: address,
      NEW_DESTINATION: address,
      BUCKET: u16,
      NEXT: u16,
      OWNER: u32,
    },
  },
  "held packet": {
    layout: "WaitingLayout",
    size: WaitingLayout.HELD_SIZE,
    fields: {
      HELD_KEY: { bytes: FragmentLayout.KEY_SIZE, align: 16 },
      HELD_LENGTH: u32,
      HELD_SINCE_MS: u32,
      HELD_NEXT: u32,
      HELD_BEFORE: u32,
      HELD_BLOCKS: u32,
      HELD_OWNER: u32,
      HELD_STATE: u32,
      HELD_CHANGES: u32,
    },
  },
};
