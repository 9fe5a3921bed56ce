// The records of the memory map, with the size of each field.

import {
  address,
  array,
  cellsOf,
  endpoints,
  fieldsOf,
  LAYOUTS,
  type LayoutRecord,
  page,
  u16,
  u32,
} from "./layout-fields.ts";
import { text } from "./source-files.ts";

const { AddressLayout, CallerLayout, CandidateLayout, FlowLayout, FragmentLayout, HeaderLayout } = LAYOUTS;
const { HealthPageLayout, InstanceLayout, KernelLayout, NodeLayout, NodeMetricsLayout, OutlierLayout } = LAYOUTS;
const { ProbeLayout, RefusalLayout, ServiceLayout, VerdictNoteLayout, WaitingLayout, WorkerLayout } = LAYOUTS;

/** At least as much as wire/packet.ts notes of the packet in hand. */
const SCRATCH_SIZE = 256;
/** At least as much as nat/passage.ts notes. */
const PASSAGE_SIZE = 64;

/** The destination is a part of the key. */
const { HELD_DESTINATION = u32, ...held } = fieldsOf("Held", {}, { form: "HELD_*" });

export const RECORDS: Readonly<Record<string, LayoutRecord>> = {
  header: {
    layout: "HeaderLayout",
    size: HeaderLayout.SIZE,
    fields: {
      ...cellsOf(text("assembly/record/header.ts")),
      LAYOUT_VERSION: u32,
      PROBE_KEY: { bytes: 16, align: 8 },
      REFUSALS: array(RefusalLayout.MAX, RefusalLayout.SIZE),
      REGIONS: array(HeaderLayout.Region.count, 4),
      TIMEOUTS_MS: array(FlowLayout.FlowState.count, 4),
      FLOW_HASH_KEY: array(HeaderLayout.FLOW_HASH_KEY_WORDS, 8),
      ADDRESS_HASH_KEY: array(HeaderLayout.ADDRESS_HASH_KEY_WORDS, 8),
      RANGES: array(HeaderLayout.RANGE_MAX, HeaderLayout.RANGE_SIZE),
    },
  },
  range: { layout: "HeaderLayout", size: HeaderLayout.RANGE_SIZE, fields: fieldsOf("Range") },
  "address slot": {
    layout: "AddressLayout",
    size: AddressLayout.SLOT_SIZE,
    fields: fieldsOf("AddressSlot", { VALUES: array(2, 4) }),
  },
  service: { layout: "ServiceLayout", size: ServiceLayout.SIZE, fields: fieldsOf("Service") },
  candidate: { layout: "CandidateLayout", size: CandidateLayout.SIZE, fields: fieldsOf("Candidate") },
  instance: { layout: "InstanceLayout", size: InstanceLayout.SIZE, fields: fieldsOf("Instance") },
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
    fields: fieldsOf("InstanceLoad", {}, { form: "LOAD_*" }),
  },
  node: { layout: "NodeLayout", size: NodeLayout.SIZE, fields: fieldsOf("Node", { ENDPOINTS: endpoints }) },
  sockaddr: {
    layout: "KernelLayout",
    size: KernelLayout.SOCKADDR_SIZE,
    fields: fieldsOf(
      "Endpoint",
      { SOCKADDR_ADDRESS: { bytes: 16, align: 4 } },
      { form: "SOCKADDR_*", only: ["family", "port"] },
    ),
  },
  endpoint: {
    layout: "NodeLayout",
    size: NodeLayout.ENDPOINT_SIZE,
    fields: fieldsOf("Endpoint", {}, { form: "ENDPOINT_*", only: ["accepts"] }),
  },
  "node metrics": {
    layout: "NodeMetricsLayout",
    size: NodeMetricsLayout.SIZE,
    fields: fieldsOf("NodeMetrics", {
      RTT_SAMPLES: array(NodeMetricsLayout.RTT_SAMPLE_COUNT, 4, 4),
      PROBES: array(NodeMetricsLayout.PROBE_COUNT, NodeMetricsLayout.PROBE_NOTE_SIZE),
      SIZE_PROBES: array(NodeMetricsLayout.SIZE_PROBE_COUNT, NodeMetricsLayout.PROBE_NOTE_SIZE),
    }),
  },
  "probe note": {
    layout: "NodeMetricsLayout",
    size: NodeMetricsLayout.PROBE_NOTE_SIZE,
    fields: fieldsOf("ProbeNote", {}, { form: "PROBE_NOTE_*" }),
  },
  "flow bucket": {
    layout: "FlowLayout",
    size: FlowLayout.BUCKET_SIZE,
    fields: { BUCKET_LOCK: u32, BUCKET_ENTRIES: array(FlowLayout.BUCKET_ENTRY_COUNT, 4) },
  },
  flow: { layout: "FlowLayout", size: FlowLayout.SIZE, fields: fieldsOf("Flow") },
  probe: { layout: "ProbeLayout", size: ProbeLayout.SIZE, fields: fieldsOf("Probe", {}, { form: "*_AT" }) },
  "probe that is an answer": {
    layout: "ProbeLayout",
    size: ProbeLayout.SIZE,
    fields: { ABILITIES_AT: u32, REVISION_AT: { bytes: 4, typed: { record: "Probe", field: "page" } } },
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
    fields: fieldsOf("HealthPages"),
  },
  "health page that came": {
    layout: "HealthPageLayout",
    size: HealthPageLayout.RECEIVED_SIZE,
    fields: fieldsOf("ReceivedPage", { RECEIVED_PAGE: page }, { form: "RECEIVED_*" }),
  },
  outlier: { layout: "OutlierLayout", size: OutlierLayout.SIZE, fields: fieldsOf("Outlier") },
  mmsghdr: {
    layout: "KernelLayout",
    size: KernelLayout.MMSGHDR_SIZE,
    fields: fieldsOf("Mmsghdr", {}, { form: "MMSGHDR_*" }),
  },
  iovec: { layout: "KernelLayout", size: KernelLayout.IOVEC_SIZE, fields: fieldsOf("Iovec", {}, { form: "IOVEC_*" }) },
  cmsghdr: {
    layout: "KernelLayout",
    size: KernelLayout.CMSG_SIZE,
    fields: fieldsOf("Cmsghdr", {}, { form: "CMSG_*" }),
  },
  "TUN write": {
    layout: "WorkerLayout",
    size: WorkerLayout.TUN_TX_SIZE,
    fields: fieldsOf("TunWrite", {}, { form: "TUN_TX_*" }),
  },
  worker: {
    layout: "WorkerLayout",
    size: WorkerLayout.SIZE,
    fields: fieldsOf("WorkerArea", {
      LIMBO_SEQUENCES: array(WorkerLayout.MAX, 4),
      WAITING_FRAGMENTS: { bytes: WaitingLayout.ROW_SIZE, align: 16 },
      WAITING_PARKED: { bytes: WaitingLayout.ROW_SIZE, align: 16 },
      TUN_BATCHES: array(WorkerLayout.BATCH_CLASSES, 8),
      UDP_BATCHES: array(WorkerLayout.BATCH_CLASSES, 8),
      ANSWER_TOKENS: array(WorkerLayout.AnswerShare.count, 4),
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
    }),
  },
  "verdict note": { layout: "VerdictNoteLayout", size: VerdictNoteLayout.SIZE, fields: fieldsOf("VerdictNote") },
  "row of waiting packets": {
    layout: "WaitingLayout",
    size: WaitingLayout.ROW_SIZE,
    fields: fieldsOf("WaitingRow", {}, { form: "ROW_*" }),
  },
  share: {
    layout: "WaitingLayout",
    size: WaitingLayout.SHARE_SIZE,
    fields: fieldsOf("Share", {}, { form: "SHARE_*" }),
  },
  caller: { layout: "CallerLayout", size: CallerLayout.SIZE, fields: { AT_MS: u32, PAIR: u32 } },
  refusal: {
    layout: "RefusalLayout",
    size: RefusalLayout.SIZE,
    fields: {
      ...fieldsOf("Refusal", {}, { only: ["address", "atMs"] }),
      ...fieldsOf("Refusal", {}, { form: "REFUSED_*", only: ["owner", "isDenial"] }),
    },
  },
  "first fragment": { layout: "FragmentLayout", size: FragmentLayout.SIZE, fields: fieldsOf("FirstFragment") },
  "held packet": {
    layout: "WaitingLayout",
    size: WaitingLayout.HELD_SIZE,
    fields: { HELD_KEY: { bytes: FragmentLayout.KEY_SIZE, align: 16 }, ...held },
  },
  "key of a held packet": { layout: "WaitingLayout", size: FragmentLayout.KEY_SIZE, fields: { HELD_DESTINATION } },
};
