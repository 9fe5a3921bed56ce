// The memory map holds together: no two fields of a record share a byte, none leaves its record, all are aligned;
// and no constant of layout.ts is unknown here, so that a new field cannot escape these checks.
import { describe, expect, test } from "vitest";
import { Counter } from "../../assembly/shared/counters.ts";
import * as layout from "../../assembly/shared/layout.ts";
import { DropReason } from "../../assembly/shared/verdicts.ts";
import { RECORDS } from "../support/layout-records.ts";

/** Constants that are no offset: sizes, counts, flags, values. */
const NOT_FIELDS = [
  ...["LAYOUT_VERSION", "HEADER_AT", "HEADER_SIZE", "RANGE_MAX", "RANGE_SIZE", "ALIVE", "INSTANCE_LOAD_SIZE"],
  ...["FLOW_HASH_KEY_WORDS", "ADDRESS_HASH_KEY_WORDS"],
  ...[
    "ADDRESS_SLOT_SIZE",
    "OWN_ADDRESS_SIZE",
    "OWN_ADDRESS_MAX",
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
    expect(Counter.count).toBeLessThanOrEqual(layout.COUNTER_MAX);
    expect(DropReason.count).toBeLessThanOrEqual(layout.DROP_REASON_MAX);
  });

  test("a slot holds the headroom and the longest frame", () => {
    expect(layout.SLOT_HEADROOM + layout.FRAME_MAX).toBeLessThanOrEqual(layout.SLOT_SIZE);
    expect(layout.FRAME_MAX).toBeGreaterThanOrEqual(10 + 65535); // virtio_net_hdr and the longest IPv4 packet
  });

  test("worker areas fill whole pages and all of them fit in 32 bits", () => {
    expect(layout.WORKER_SIZE % 65536).toBe(0);
    expect(layout.WORKER_SIZE * layout.WORKER_MAX).toBeLessThan(2 ** 31);
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
