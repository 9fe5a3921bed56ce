// The memory map holds together: no two fields of a record share a byte, none leaves its record, all are aligned;
// and no constant of the layout is unknown here, so that a new field cannot escape these checks.
import { describe, expect, test } from "vitest";
import { Counter } from "../../assembly/shared/counters.ts";
import * as AddressLayout from "../../assembly/shared/layout/address.ts";
import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as NodeLayout from "../../assembly/shared/layout/node.ts";
import * as NodeMetricsLayout from "../../assembly/shared/layout/node-metrics.ts";
import * as ServiceLayout from "../../assembly/shared/layout/service.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { DropReason } from "../../assembly/shared/verdicts.ts";
import { fieldName, LAYOUTS, type LayoutRecord, RECORD_TYPES } from "../support/layout-fields.ts";
import { RECORDS } from "../support/layout-records.ts";
import { compileSource } from "../support/policy-source.ts";
import { filesBelow, sourcesBelow, text } from "../support/source-files.ts";

/** Constants that are no offset: sizes, counts, flags, values. */
const NOT_FIELDS: Readonly<Record<keyof typeof LAYOUTS, string>> = {
  AddressLayout: "SLOT_SIZE OWN_SIZE OWN_MAX SLOT_EMPTY SLOT_USED SLOT_BUSY PORT_SHIFT ANY_PORT",
  CallerLayout: "MAX SET SIZE",
  CandidateLayout: "SIZE DRAINING LOCAL",
  FlowLayout: `
    SIZE BUCKET_SIZE BUCKET_ENTRY_COUNT TAG_SHIFT INDEX_MASK SLACK LIMIT_MAX ROOM_NOTICE SEEN_REPLY
    SEEN_FIN_FORWARD
    SEEN_FIN_REVERSE IS_BALANCED CROSSES ANSWERS_CROSS SEEN_LIFE_FORWARD SEEN_LIFE_REVERSE SCALE_UNKNOWN
    AGE_MAX_MS LOCK_WORKER_BITS UNBOUND NEVER`,
  FragmentLayout: "MAX SIZE KEY_SIZE",
  HeaderLayout: `
    AT SIZE RANGE_MAX RANGE_SIZE FLOW_HASH_KEY_WORDS ADDRESS_HASH_KEY_WORDS OFFLOAD_UDP_GSO OFFLOAD_TUN_TCP
    OFFLOAD_TUN_UDP OFFLOAD_GRO_ENDED ANSWER_WITH_ICMP ANSWER_WITH_RESET CLAMP_MSS ANSWER_LOST
    ANSWER_LOST_WITH_RESET ACCEPT_STRANGERS OUTER_CLASS_COPIED OUTER_CLASS_COPIED_COMPATIBLY OUTER_CLASS_FIXED`,
  HealthPageLayout: "SIZE ADDRESS_MAX HEAD RECEIVED_SIZE RECEIVED_MAX",
  InstanceLayout: "ALIVE LOAD_SIZE SIZE PLACE_SIZE",
  KernelLayout: `
    SOCKADDR_SIZE AF_INET6 FRAGMENTS_IF_REFUSED FRAGMENTS_ALLOWED FRAGMENTS_NEVER MMSGHDR_SIZE MSGHDR_SIZE
    IOVEC_SIZE CMSG_SIZE CONTROL_SIZE`,
  NodeLayout: "ACCEPTS_UNKNOWN_SOURCES SIZE ENDPOINT_SIZE LOCAL STRANGER ACCEPTS_ANY_ADDRESS",
  NodeMetricsLayout: "SIZE RTT_SAMPLE_COUNT PROBE_COUNT SIZE_PROBE_COUNT PROBE_NOTE_SIZE",
  OutlierLayout: "SETS WAYS SIZE CLIENT_SHIFT INSTANCE_SHIFT INDEX_BITS UDP_SHIFT EVERYBODY CLIENTS_MIN FORGET_MS",
  ProbeLayout: "TAKES_ECN TELLS_HEALTH ASKS_PAGE SIZE MAGIC VERSION REQUEST REPLY",
  RefusalLayout: "REFUSED_MAX MAX SIZE REFUSED_SET",
  ServiceLayout: "SIZE",
  VerdictNoteLayout: "MAX SIZE REASON_SHIFT",
  WaitingLayout: `
    HELD_SIZE ROW_SIZE SHARE_MAX SHARE_SIZE OWNER_OTHERS OWNER_URGENT HELD_DESTINATION HOLD_BLOCK_SIZE HOLD_BLOCK_COUNT
    HOLD_FRAGMENT_BLOCKS HOLD_FREE HOLD_FIRST HOLD_CONTINUED HOLD_RELEASED`,
  WorkerLayout: `
    ERROR_QUOTE_SIZE PADDING_SIZE MAX SIZE COUNTER_MAX DROP_REASON_MAX BATCH_SIZE SLOT_HEADROOM SLOT_SIZE BATCH_CLASSES
    FRAME_MAX UDP_TX_MAX TUN_TX_MAX IOVEC_MAX TX_HEADERS_SIZE TUN_TX_SIZE UDP_TX_CONTROL_SIZE UDP_RETRY_MAX`,
};

function constantsOf(layout: keyof typeof LAYOUTS): ReadonlyMap<string, number> {
  const constants = new Map<string, number>();
  for (const [name, value] of Object.entries(LAYOUTS[layout])) {
    if (typeof value === "number") constants.set(name, value);
  }
  return constants;
}

/** Where the compiler puts the fields of the classes, by `Class.field`. */
const COMPILED = await compiledOffsets();

async function compiledOffsets(): Promise<ReadonlyMap<string, number>> {
  const classes = [...RECORD_TYPES];
  const imports = classes.map(([record, { path }]) => `import { ${record} } from "../../${path}";`);
  const names = classes.flatMap(([record, { fields }]) => [...fields.keys()].map((field) => ({ record, field })));
  const places = names.map(
    ({ record, field }, i) => `export function at${i}(): usize { return offsetof<${record}>("${field}"); }`,
  );
  const module = await compileSource([...imports, ...places].join("\n"), { enable: "simd,threads" });
  const { exports } = new WebAssembly.Instance(module);
  return new Map(names.map(({ record, field }, i) => [`${record}.${field}`, (exports[`at${i}`] as () => number)()]));
}

function offsetOf(record: LayoutRecord, name: string): number {
  const { typed } = record.fields[name] ?? {};
  const offset = typed ? COMPILED.get(`${typed.record}.${typed.field}`) : constantsOf(record.layout).get(name);
  if (offset === undefined) throw new Error(`there is no constant ${fieldName(record, name)}`);
  return offset;
}

describe.each(Object.entries(RECORDS))("%s", (_name, record) => {
  const { size, fields } = record;
  const placed = Object.entries(fields)
    .map(([name, field]) => ({ name, at: offsetOf(record, name), ...field }))
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

test("the compiler puts each field of a record's type where the layout says", () => {
  const wrong: string[] = [];
  const known = new Set<string>();
  for (const record of Object.values(RECORDS)) {
    for (const [name, { typed }] of Object.entries(record.fields)) {
      if (typed === undefined) continue;
      known.add(`${typed.record}.${typed.field}`);
      const said = constantsOf(record.layout).get(name);
      if (said !== undefined && said !== offsetOf(record, name)) wrong.push(fieldName(record, name));
    }
  }
  expect(wrong).toEqual([]);
  expect([...known].sort()).toEqual([...COMPILED.keys()].sort());
});

test.each(Object.keys(LAYOUTS) as (keyof typeof LAYOUTS)[])(
  "every constant of %s is a field of a record above or named as something else",
  (layout) => {
    const records = Object.values(RECORDS).filter((record) => record.layout === layout);
    const constants = [...constantsOf(layout).keys()];
    const fields = records.flatMap((record) => Object.keys(record.fields)).filter((name) => constants.includes(name));
    expect(constants.sort()).toEqual([...new Set([...fields, ...NOT_FIELDS[layout].trim().split(/\s+/)])].sort());
  },
);

test("what programs that no compiler checks name of the layout is there", () => {
  const programs = ["test", "bench", "scripts"].flatMap(filesBelow).filter((path) => path.endsWith(".mjs"));
  const named = programs.flatMap((path) => text(path).match(/\b\w+Layout\.[A-Z]\w*/g) ?? []);
  const known = (name: string): boolean => {
    const [layout = "", constant = ""] = name.split(".");
    return Object.hasOwn(LAYOUTS, layout) && constant in LAYOUTS[layout as keyof typeof LAYOUTS];
  };
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !known(name))).toEqual([]);
});

test("every file of the layout is looked at", () => {
  const files = sourcesBelow("assembly/shared/layout").map((path) => path.replace(/^.*\/|\.ts$/g, ""));
  const words = (namespace: string): string => namespace.replace(/Layout$/, "").replace(/(?<!^)[A-Z]/g, "-$&");
  expect(files.sort()).toEqual([...Object.keys(LAYOUTS).map((name) => words(name).toLowerCase()), "version"].sort());
});

describe("limits", () => {
  test("counters and drop reasons fit their arrays", () => {
    expect(Counter.count).toBeLessThanOrEqual(WorkerLayout.COUNTER_MAX);
    expect(DropReason.count).toBeLessThanOrEqual(WorkerLayout.DROP_REASON_MAX);
  });

  test("a slot holds the headroom and the longest frame", () => {
    expect(WorkerLayout.SLOT_HEADROOM + WorkerLayout.FRAME_MAX).toBeLessThanOrEqual(WorkerLayout.SLOT_SIZE);
    expect(WorkerLayout.FRAME_MAX).toBeGreaterThanOrEqual(10 + 65535); // virtio_net_hdr and the longest IPv4 packet
  });

  test("worker areas fill whole pages and all of them fit in 32 bits", () => {
    expect(WorkerLayout.SIZE % 65536).toBe(0);
    expect(WorkerLayout.SIZE * WorkerLayout.MAX).toBeLessThan(2 ** 31);
  });

  test("a flow hash has bits of its own for the bucket and for the tag, of those that are strongly universal", () => {
    const buckets = 2 ** Math.ceil(Math.log2(FlowLayout.LIMIT_MAX / 2));
    expect(34 + Math.log2(buckets)).toBeLessThanOrEqual(64 - (32 - FlowLayout.TAG_SHIFT));
  });

  test("an index entry holds every flow record", () => {
    expect(FlowLayout.LIMIT_MAX + FlowLayout.SLACK).toBeLessThanOrEqual(FlowLayout.INDEX_MASK);
    expect((FlowLayout.INDEX_MASK << 1) | 1).toBe(2 ** FlowLayout.TAG_SHIFT - 1);
  });

  test.each([
    ["address slot", AddressLayout.SLOT_SIZE],
    ["service", ServiceLayout.SIZE],
    ["instance", InstanceLayout.SIZE],
    ["node", NodeLayout.SIZE],
    ["node metrics", NodeMetricsLayout.SIZE],
    ["flow bucket", FlowLayout.BUCKET_SIZE],
  ])("the size of one %s is a power of two", (_name, size) => {
    expect(size & (size - 1)).toBe(0);
  });

  test("a flow begins with a cache line, and what each packet needs is in the first two", () => {
    expect(FlowLayout.SIZE % 64).toBe(0);
    expect(FlowLayout.REVERSE_PACKETS + 4).toBe(128);
  });

  test("what an endpoint accepts is behind its sockaddr", () => {
    expect(NodeLayout.ENDPOINT_ACCEPTS).toBeGreaterThanOrEqual(KernelLayout.SOCKADDR_SIZE);
  });

  test("both places of an instance fit its record", () => {
    expect(2 * InstanceLayout.PLACE_SIZE).toBeLessThanOrEqual(InstanceLayout.SIZE);
  });
});
