// The memory map holds together: no two fields of a record share a byte, none leaves its record, all are aligned;
// and no constant of layout.ts is unknown here, so that a new field cannot escape these checks.
import { describe, expect, test } from "vitest";
import { Counter } from "../../assembly/shared/counters.ts";
import * as layout from "../../assembly/shared/layout.ts";
import { DropReason } from "../../assembly/shared/verdicts.ts";

const {
  BATCH_SIZE,
  CONTROL_SIZE,
  COUNTER_MAX,
  DROP_REASON_MAX,
  FlowState,
  FRAME_MAX,
  IOVEC_MAX,
  IOVEC_SIZE,
  MMSGHDR_SIZE,
  NODE_ENDPOINT_SIZE,
  RANGE_MAX,
  RANGE_SIZE,
  Region,
  RTT_SAMPLE_COUNT,
  SLOT_HEADROOM,
  SLOT_SIZE,
  TUN_TX_MAX,
  TUN_TX_SIZE,
  TX_HEADERS_SIZE,
  UDP_RETRY_MAX,
  UDP_TX_CONTROL_SIZE,
  UDP_TX_MAX,
  WORKER_MAX,
} = layout;

/** At least as much as wire/packet.ts notes of the packet in hand. */
const SCRATCH_SIZE = 256;

interface Field {
  readonly bytes: number;
  readonly align?: number; // when it is not the size: arrays
}

interface LayoutRecord {
  readonly size: number;
  readonly fields: Readonly<Record<string, Field>>;
}

const u8: Field = { bytes: 1 };
const u16: Field = { bytes: 2 };
const u32: Field = { bytes: 4 };
const u64: Field = { bytes: 8 };
const address: Field = { bytes: 16, align: 8 };

function array(count: number, elementSize: number, align = Math.min(elementSize & -elementSize, 64)): Field {
  return { bytes: count * elementSize, align };
}

const RECORDS: Readonly<Record<string, LayoutRecord>> = {
  header: {
    size: layout.HEADER_SIZE,
    fields: {
      HEADER_LAYOUT_VERSION: u32,
      HEADER_GENERATION: u32,
      HEADER_WORKER_COUNT: u32,
      HEADER_HASH_SEED: u32,
      HEADER_FLOW_LIMIT: u32,
      HEADER_FLOW_BUCKET_MASK: u32,
      HEADER_ADDRESS_MASK: u32,
      HEADER_WORKLOAD_MASK: u32,
      HEADER_SENDER_MASK: u32,
      HEADER_RANGE_COUNT: u32,
      HEADER_NODE_COUNT: u32,
      HEADER_METRICS_EPOCH: u32,
      HEADER_FLOW_COUNT: u32,
      HEADER_FLOW_NEXT: u32,
      HEADER_PROBE_INTERVAL_MS: u32,
      HEADER_FLOW_FREE: u64,
      HEADER_OFFLOADS: u32,
      HEADER_OUTER_CLASS: u32,
      HEADER_GSO_TRIAL: u32,
      HEADER_TUN_MTU: u32,
      HEADER_ANSWERS: u32,
      HEADER_PROBE_KEY: { bytes: 16, align: 8 },
      HEADER_PROBE_NONCES: u64,
      HEADER_ATTENTIVE_MS: u32,
      HEADER_ATTENDED_MS: u32,
      HEADER_HEALTH_EPOCH: u32,
      HEADER_PARK_MS: u32,
      HEADER_PARK_PACKETS: u32,
      HEADER_PARK_BYTES: u32,
      HEADER_REFUSAL_COUNT: u32,
      HEADER_CLIENT_COUNT: u32,
      HEADER_REPAIR: u32,
      HEADER_REFUSALS: array(layout.REFUSAL_MAX, layout.REFUSAL_SIZE),
      HEADER_REGIONS: array(Region.count, 4),
      HEADER_TIMEOUTS_MS: array(FlowState.count, 4),
      HEADER_FLOW_HASH_KEY: array(layout.FLOW_HASH_KEY_WORDS, 8),
      HEADER_ADDRESS_HASH_KEY: array(layout.ADDRESS_HASH_KEY_WORDS, 8),
      HEADER_RANGES: array(RANGE_MAX, RANGE_SIZE),
    },
  },
  "address slot": {
    size: layout.ADDRESS_SLOT_SIZE,
    fields: { ADDRESS_KEY: address, ADDRESS_VERSION: u32, ADDRESS_VALUES: array(2, 4), ADDRESS_STATE: u32 },
  },
  service: {
    size: layout.SERVICE_SIZE,
    fields: {
      SERVICE_KIND: u32,
      SERVICE_POLICY: u32,
      SERVICE_ID: u32,
      SERVICE_REVISION: u32,
      SERVICE_CANDIDATE_COUNT: u32,
      SERVICE_CANDIDATES: u32,
      SERVICE_FAMILY: u32,
    },
  },
  candidate: {
    size: layout.CANDIDATE_SIZE,
    fields: { CANDIDATE_INSTANCE: u32, CANDIDATE_WEIGHT: u16, CANDIDATE_FLAGS: u16 },
  },
  instance: {
    size: layout.INSTANCE_SIZE,
    fields: {
      INSTANCE_NAMESPACE_V4: address,
      INSTANCE_NAMESPACE_V6: address,
      INSTANCE_ADDRESS_V4: address,
      INSTANCE_ADDRESS_V6: address,
      INSTANCE_NODE: u32,
      INSTANCE_INCARNATION: u32,
      INSTANCE_DIED: u32,
      INSTANCE_NUMBER: u32,
      INSTANCE_VERSION: u32,
    },
  },
  "place of an instance": {
    size: layout.INSTANCE_PLACE_SIZE,
    fields: {
      INSTANCE_NAMESPACE_V4: address,
      INSTANCE_NAMESPACE_V6: address,
      INSTANCE_ADDRESS_V4: address,
      INSTANCE_ADDRESS_V6: address,
      INSTANCE_NODE: u32,
    },
  },
  "instance load": {
    size: layout.INSTANCE_LOAD_SIZE,
    fields: { INSTANCE_LOAD_SERVED: u64, INSTANCE_LOAD_CALLED: u64 },
  },
  node: {
    size: layout.NODE_SIZE,
    fields: {
      NODE_VERSION: u32,
      NODE_STATE: u32,
      NODE_DISTANCE_KM: u32,
      NODE_ENDPOINTS: array(2, NODE_ENDPOINT_SIZE),
    },
  },
  sockaddr: {
    size: layout.NODE_ENDPOINT_SIZE,
    fields: {
      SOCKADDR_FAMILY: u16,
      SOCKADDR_PORT: u16,
      SOCKADDR_ADDRESS: { bytes: 16, align: 4 },
      SOCKADDR_SCOPE: u32,
      ENDPOINT_ACCEPTS: u32,
    },
  },
  "node metrics": {
    size: layout.NODE_METRICS_SIZE,
    fields: {
      NODE_RTT_US: u32,
      NODE_RTT_SAMPLES: array(RTT_SAMPLE_COUNT, 4, 4),
      NODE_RTT_NEXT: u32,
      NODE_TAKES_ECN: u32,
      NODE_HEALTH: u32,
      NODE_MTU: u32,
      NODE_WHOLE: u32,
      NODE_GSO_REFUSED: u32,
      NODE_SINCE_US: u64,
      NODE_HEARD_US: u64,
      NODE_LARGE_SENT: u32,
      NODE_REFUSED: u32,
      NODE_HINT: u32,
      NODE_DEVICE_MTU: u32,
      NODE_PROBES_SENT: u32,
      NODE_ANSWERED: u32,
      NODE_PROBED_MS: u32,
      NODE_DOUBT: u32,
      NODE_SIZE_TRIAL: u32,
      NODE_SIZE_TRIES: u32,
      NODE_SIZE_LOW: u32,
      NODE_SIZE_HIGH: u32,
      NODE_SIZE_GUESS: u32,
      NODE_SIZE_WITNESS: u32,
      NODE_SIZE_TRIED_MS: u32,
      NODE_SIZE_CHECKED_MS: u32,
      NODE_SIZE_RAISED_MS: u32,
      NODE_SIZE_PASSED: u32,
      NODE_SIZE_NEXT: u32,
      NODE_SIZE_STATE: u32,
      NODE_SIZE_HINTED_MS: u32,
      NODE_PROBES: array(layout.NODE_PROBE_COUNT, layout.PROBE_NOTE_SIZE),
      NODE_SIZE_PROBES: array(layout.NODE_SIZE_PROBE_COUNT, layout.PROBE_NOTE_SIZE),
    },
  },
  "probe note": {
    size: layout.PROBE_NOTE_SIZE,
    fields: { PROBE_NOTE_NONCE: u64, PROBE_NOTE_SENT_US: u64, PROBE_NOTE_SENT_MS: u32, PROBE_NOTE_VALUE: u32 },
  },
  "flow bucket": {
    size: layout.FLOW_BUCKET_SIZE,
    fields: { FLOW_BUCKET_LOCK: u32, FLOW_BUCKET_ENTRIES: array(layout.FLOW_BUCKET_ENTRY_COUNT, 4) },
  },
  flow: {
    size: layout.FLOW_SIZE,
    fields: {
      FLOW_CLIENT: address,
      FLOW_CALLED: address,
      FLOW_CLIENT_INSTANCE_ADDRESS: address,
      FLOW_TARGET: address,
      FLOW_TARGET_INSTANCE_ADDRESS: address,
      FLOW_CLIENT_PORT: u16,
      FLOW_CALLED_PORT: u16,
      FLOW_PROTOCOL: u8,
      FLOW_STATE: u8,
      FLOW_SEEN: u8,
      FLOW_WINDOW_SCALES: u8,
      FLOW_WIRE_PORT: u16,
      FLOW_NODE: u16,
      FLOW_INSTANCE: u32,
      FLOW_INSTANCE_INCARNATION: u32,
      FLOW_CLIENT_INSTANCE: u32,
      FLOW_CLIENT_INCARNATION: u32,
      FLOW_CONFIRMED: u32,
      FLOW_FORWARD_TCP: u64,
      FLOW_REVERSE_TCP: u64,
      FLOW_LAST_USED_MS: u32,
      FLOW_FORWARD_DELTA: u16,
      FLOW_REVERSE_DELTA: u16,
      FLOW_FORWARD_PACKETS: u32,
      FLOW_REVERSE_PACKETS: u32,
      FLOW_ANSWERED: address,
    },
  },
  "free flow": { size: layout.FLOW_SIZE, fields: { FLOW_FREE_NEXT: u32 } },
  probe: {
    size: layout.PROBE_SIZE,
    fields: {
      PROBE_VERSION_AT: u8,
      PROBE_TYPE_AT: u8,
      PROBE_NODE_AT: u32,
      PROBE_NONCE_AT: u64,
      PROBE_ABILITIES_AT: u64,
    },
  },
  mmsghdr: {
    size: MMSGHDR_SIZE,
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
  "TUN write": { size: TUN_TX_SIZE, fields: { TUN_TX_IOV: u64, TUN_TX_IOV_COUNT: u32, TUN_TX_PACKETS: u32 } },
  worker: {
    size: layout.WORKER_SIZE,
    fields: {
      WORKER_SEQUENCE: u32,
      WORKER_GENERATION: u32,
      WORKER_UDP_TX_COUNT: u32,
      WORKER_TUN_TX_COUNT: u32,
      WORKER_EVICT_CURSOR: u32,
      WORKER_SWEEP_CURSOR: u32,
      WORKER_PORT_CURSOR: u32,
      WORKER_PORT_TRIES: u32,
      WORKER_INCARNATION: u32,
      WORKER_LOCKING: u32,
      WORKER_UDP_TX_FRAGMENTED: u32,
      WORKER_LIMBO_YOUNG: u32,
      WORKER_LIMBO_OLD: u32,
      WORKER_LIMBO_SEQUENCES: array(WORKER_MAX, 4),
      WORKER_WAITING_FRAGMENTS: { bytes: layout.WAITING_SIZE, align: 16 },
      WORKER_WAITING_PARKED: { bytes: layout.WAITING_SIZE, align: 16 },
      WORKER_RELEASED_FIRST: u32,
      WORKER_FRAGMENT_NEXT: u32,
      WORKER_REFUSAL_COUNT: u32,
      WORKER_AGE_CURSOR: u32,
      WORKER_FRAGMENT_KEY: { bytes: layout.FRAGMENT_KEY_SIZE, align: 64 },
      WORKER_ERROR_NAME: { bytes: NODE_ENDPOINT_SIZE, align: 8 },
      WORKER_ERROR_QUOTE: { bytes: layout.ERROR_QUOTE_SIZE, align: 16 },
      WORKER_COUNTERS: array(COUNTER_MAX, 8),
      WORKER_EGRESS_DROPS: array(DROP_REASON_MAX, 8),
      WORKER_INGRESS_DROPS: array(DROP_REASON_MAX, 8),
      WORKER_SCRATCH: { bytes: SCRATCH_SIZE, align: 64 },
      WORKER_PREFETCH: array(BATCH_SIZE, 8),
      WORKER_TUN_LENGTHS: array(BATCH_SIZE, 4),
      WORKER_UDP_RX: array(BATCH_SIZE, MMSGHDR_SIZE),
      WORKER_UDP_RX_IOVECS: array(BATCH_SIZE, IOVEC_SIZE),
      WORKER_UDP_RX_NAMES: array(BATCH_SIZE, NODE_ENDPOINT_SIZE),
      WORKER_UDP_RX_CONTROLS: array(BATCH_SIZE, CONTROL_SIZE),
      WORKER_UDP_TX: array(UDP_TX_MAX, MMSGHDR_SIZE),
      WORKER_UDP_TX_CONTROLS: array(UDP_TX_MAX, UDP_TX_CONTROL_SIZE),
      WORKER_UDP_TX_NAMES: array(UDP_TX_MAX, NODE_ENDPOINT_SIZE),
      WORKER_UDP_RETRY: array(UDP_RETRY_MAX, MMSGHDR_SIZE),
      WORKER_TUN_TX: array(TUN_TX_MAX, TUN_TX_SIZE),
      WORKER_TX_IOVECS: array(IOVEC_MAX, IOVEC_SIZE),
      WORKER_TX_HEADERS: { bytes: TX_HEADERS_SIZE, align: 64 },
      WORKER_TUN_SLOTS: array(BATCH_SIZE, SLOT_SIZE),
      WORKER_UDP_SLOTS: array(BATCH_SIZE, SLOT_SIZE),
      WORKER_FRAGMENT_HEADS: array(layout.FRAGMENT_MAX, 2),
      WORKER_FRAGMENTS: array(layout.FRAGMENT_MAX, layout.FRAGMENT_SIZE),
      WORKER_HELD: array(layout.HOLD_BLOCK_COUNT, layout.HELD_SIZE),
      WORKER_HOLD_BLOCKS: array(layout.HOLD_BLOCK_COUNT, layout.HOLD_BLOCK_SIZE),
      WORKER_REFUSED: array(layout.REFUSED_MAX, layout.REFUSAL_SIZE),
      WORKER_SHARES: array(layout.SHARE_MAX, layout.SHARE_SIZE),
      WORKER_PADDING: { bytes: layout.PADDING_SIZE, align: 64 },
    },
  },
  "row of waiting packets": {
    size: layout.WAITING_SIZE,
    fields: { WAITING_FIRST: u32, WAITING_LAST: u32, WAITING_COUNT: u32, WAITING_BYTES: u32 },
  },
  share: { size: layout.SHARE_SIZE, fields: { SHARE_OWNER: u32, SHARE_BLOCKS: u32 } },
  refusal: { size: layout.REFUSAL_SIZE, fields: { REFUSAL_ADDRESS: address, REFUSAL_AT_MS: u32, REFUSED_OWNER: u32 } },
  "first fragment": {
    size: layout.FRAGMENT_SIZE,
    fields: {
      FRAGMENT_SOURCE: address,
      FRAGMENT_DESTINATION: address,
      FRAGMENT_SENDER: u32,
      FRAGMENT_ID: u32,
      FRAGMENT_PROTOCOL: u32,
      FRAGMENT_NODE: u32,
      FRAGMENT_SINCE_MS: u32,
      FRAGMENT_NEW_SOURCE: address,
      FRAGMENT_NEW_DESTINATION: address,
      FRAGMENT_BUCKET: u16,
      FRAGMENT_NEXT: u16,
      FRAGMENT_OWNER: u32,
    },
  },
  "held packet": {
    size: layout.HELD_SIZE,
    fields: {
      HELD_KEY: { bytes: layout.FRAGMENT_KEY_SIZE, align: 16 },
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

/** Constants that are no offset: sizes, counts, flags, values. */
const NOT_FIELDS = [
  ...["LAYOUT_VERSION", "HEADER_AT", "HEADER_SIZE", "RANGE_MAX", "RANGE_SIZE", "ALIVE", "INSTANCE_LOAD_SIZE"],
  ...["FLOW_HASH_KEY_WORDS", "ADDRESS_HASH_KEY_WORDS"],
  ...[
    "ADDRESS_SLOT_SIZE",
    "SLOT_EMPTY",
    "SLOT_USED",
    "SLOT_BUSY",
    "ADDRESS_PORT_SHIFT",
    "ANY_PORT",
    "ACCEPTS_UNKNOWN_SOURCES",
    "SERVICE_SIZE",
    "CANDIDATE_SIZE",
  ],
  ...["CANDIDATE_DRAINING", "CANDIDATE_LOCAL", "INSTANCE_SIZE", "NODE_SIZE", "NODE_ENDPOINT_SIZE", "SOCKADDR_SIZE"],
  ...[
    "AF_INET6",
    "LOCAL_NODE",
    "STRANGER",
    "NODE_METRICS_SIZE",
    "RTT_SAMPLE_COUNT",
    "OFFLOAD_UDP_GSO",
    "OFFLOAD_TUN_TCP",
    "OFFLOAD_TUN_UDP",
    "OFFLOAD_GRO_ENDED",
    "ANSWER_WITH_ICMP",
    "ANSWER_WITH_RESET",
    "CLAMP_MSS",
    "ANSWER_LOST",
    "ANSWER_LOST_WITH_RESET",
    "ACCEPT_STRANGERS",
    "ACCEPTS_ANY_ADDRESS",
    "FLOW_SIZE",
  ],
  ...["FLOW_BUCKET_SIZE", "FLOW_BUCKET_ENTRY_COUNT", "FLOW_TAG_SHIFT", "FLOW_INDEX_MASK", "FLOW_SLACK"],
  ...["FLOW_LIMIT_MAX", "FLOW_SEEN_REPLY", "FLOW_SEEN_FIN_FORWARD", "FLOW_SEEN_FIN_REVERSE", "FLOW_IS_BALANCED"],
  ...["FLOW_CROSSES", "FLOW_ANSWERS_CROSS", "FLOW_SEEN_LIFE_FORWARD", "FLOW_SEEN_LIFE_REVERSE"],
  ...["FLOW_SCALE_UNKNOWN", "FLOW_AGE_MAX_MS", "INSTANCE_PLACE_SIZE", "LOCK_WORKER_BITS"],
  ...["NODE_PROBE_COUNT", "NODE_SIZE_PROBE_COUNT", "PROBE_NOTE_SIZE", "ERROR_QUOTE_SIZE", "PADDING_SIZE"],
  ...["OUTER_CLASS_COPIED", "OUTER_CLASS_COPIED_COMPATIBLY", "OUTER_CLASS_FIXED", "PROBE_TAKES_ECN"],
  ...["FRAGMENTS_IF_REFUSED", "FRAGMENTS_ALLOWED", "FRAGMENTS_NEVER"],
  ...["PROBE_SIZE", "PROBE_MAGIC", "PROBE_VERSION", "PROBE_REQUEST", "PROBE_REPLY", "WORKER_MAX", "WORKER_SIZE"],
  ...["COUNTER_MAX", "DROP_REASON_MAX", "BATCH_SIZE", "SLOT_HEADROOM", "SLOT_SIZE", "FRAME_MAX", "MMSGHDR_SIZE"],
  ...["IOVEC_SIZE", "CONTROL_SIZE", "UDP_TX_MAX", "TUN_TX_MAX", "IOVEC_MAX", "TX_HEADERS_SIZE", "TUN_TX_SIZE"],
  ...["UDP_TX_CONTROL_SIZE", "UDP_RETRY_MAX", "FRAGMENT_MAX", "FRAGMENT_SIZE", "FRAGMENT_KEY_SIZE", "HELD_SIZE"],
  ...[
    "WAITING_SIZE",
    "REFUSED_MAX",
    "REFUSAL_MAX",
    "REFUSAL_SIZE",
    "REFUSED_SET",
    "SHARE_MAX",
    "SHARE_SIZE",
    "OWNER_OTHERS",
    "HELD_DESTINATION",
  ],
  ...[
    "HOLD_BLOCK_SIZE",
    "HOLD_BLOCK_COUNT",
    "HOLD_FRAGMENT_BLOCKS",
    "HOLD_FREE",
    "HOLD_FIRST",
    "HOLD_CONTINUED",
    "HOLD_RELEASED",
  ],
];

const CONSTANTS = new Map<string, number>();
for (const [name, value] of Object.entries(layout)) if (typeof value === "number") CONSTANTS.set(name, value);

function offsetOf(name: string): number {
  const offset = CONSTANTS.get(name);
  if (offset === undefined) throw new Error(`layout.ts has no constant ${name}`);
  return offset;
}

describe.each(Object.entries(RECORDS))("%s", (_name, { size, fields }) => {
  const placed = Object.entries(fields)
    .map(([name, field]) => ({ name, at: offsetOf(name), ...field }))
    .sort((a, b) => a.at - b.at);

  test("fields do not overlap and stay inside", () => {
    let end = 0;
    const wrong: string[] = [];
    for (const field of placed) {
      if (field.at < end) wrong.push(`${field.name} begins at ${field.at}, before the end ${end} of the one before`);
      end = Math.max(end, field.at + field.bytes);
    }
    if (end > size) wrong.push(`the last field ends at ${end}, beyond the size ${size}`);
    expect(wrong).toEqual([]);
  });

  test("fields are aligned", () => {
    expect(placed.filter(({ at, bytes, align = bytes }) => at % align !== 0)).toEqual([]);
  });
});

test("every constant is a field of a record above or named as something else", () => {
  const known = [...Object.values(RECORDS).flatMap(({ fields }) => Object.keys(fields)), ...NOT_FIELDS];
  expect([...CONSTANTS.keys()].sort()).toEqual([...new Set(known)].sort());
});

describe("limits", () => {
  test("counters and drop reasons fit their arrays", () => {
    expect(Counter.count).toBeLessThanOrEqual(COUNTER_MAX);
    expect(DropReason.count).toBeLessThanOrEqual(DROP_REASON_MAX);
  });

  test("a slot holds the headroom and the longest frame", () => {
    expect(SLOT_HEADROOM + FRAME_MAX).toBeLessThanOrEqual(SLOT_SIZE);
    expect(FRAME_MAX).toBeGreaterThanOrEqual(10 + 65535); // virtio_net_hdr and the longest IPv4 packet
  });

  test("worker areas fill whole pages and all of them fit in 32 bits", () => {
    expect(layout.WORKER_SIZE % 65536).toBe(0);
    expect(layout.WORKER_SIZE * WORKER_MAX).toBeLessThan(2 ** 31);
  });

  test("a flow hash has bits of its own for the bucket and for the tag, of those that are strongly universal", () => {
    const buckets = 2 ** Math.ceil(Math.log2(layout.FLOW_LIMIT_MAX / 2));
    expect(34 + Math.log2(buckets)).toBeLessThanOrEqual(64 - (32 - layout.FLOW_TAG_SHIFT));
  });

  test("an index entry holds every flow record", () => {
    expect(layout.FLOW_LIMIT_MAX + layout.FLOW_SLACK).toBeLessThanOrEqual(layout.FLOW_INDEX_MASK);
    expect((layout.FLOW_INDEX_MASK << 1) | 1).toBe(2 ** layout.FLOW_TAG_SHIFT - 1);
  });

  test.each([
    ["address slot", layout.ADDRESS_SLOT_SIZE],
    ["service", layout.SERVICE_SIZE],
    ["instance", layout.INSTANCE_SIZE],
    ["node", layout.NODE_SIZE],
    ["node metrics", layout.NODE_METRICS_SIZE],
    ["flow bucket", layout.FLOW_BUCKET_SIZE],
  ])("the size of one %s is a power of two", (_name, size) => {
    expect(size & (size - 1)).toBe(0);
  });

  test("a flow begins with a cache line, and what each packet needs is in the first two", () => {
    expect(layout.FLOW_SIZE % 64).toBe(0);
    expect(layout.FLOW_REVERSE_PACKETS + 4).toBe(128);
  });

  test("both places of an instance fit its record", () => {
    expect(2 * layout.INSTANCE_PLACE_SIZE).toBeLessThanOrEqual(layout.INSTANCE_SIZE);
  });
});
