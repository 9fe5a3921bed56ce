// What is measured of the way to a node.
//
// Node metrics (writer: data plane; control clears them before it gives the index to another node, or the node another
// endpoint). Zero-filled = nothing measured yet. Times in milliseconds are of the attentive clock.
//    0 what every packet may need   64 what the worker that probes notes   128 its probes   512 its probes of sizes
export const SIZE = 1024;
export const RTT_US = 0; // u32: lowest of the last samples, 0 = not measured
export const RTT_SAMPLES = 4; // u32 x RTT_SAMPLE_COUNT: a ring, 0 = no sample
export const RTT_SAMPLE_COUNT = 4;
export const HEALTH = 24; // u32: NodeHealth
export const MTU = 28; // u32: largest packet that fits the path to the node, as probes proved, 0 = no limit was met
export const GSO_REFUSED = 36; // u32: the HeaderLayout.GSO_TRIAL in which the path to the node refused UDP_SEGMENT
export const SINCE_US = 40; // f64: when HEALTH changed, by the workers' clock
export const HEARD_US = 48; // f64: when the node last answered a probe, by the workers' clock, 0 = never
export const REFUSED = 60; // u32 atomic: 1 = an ICMP error says that the node takes no datagrams
export const HINT = 64; // u32 atomic: the size that an ICMP error says fits the path, 0 = none does
export const DEVICE_MTU = 68; // u32 atomic: largest packet that our own device takes on the way there, 0 = not known
export const PROBES_SENT = 72; // u32: the number of the last probe; probes of sizes have none
export const ANSWERED = 76; // u32 atomic: number of the newest probe that was answered
export const SIZE_PASSED = 124; // u32 atomic: largest size that was answered in this search
export const PROBES = 128; // PROBE_NOTE_SIZE x PROBE_COUNT: a ring, by number
export const PROBE_COUNT = 16;
export const SIZE_PROBES = 512; // PROBE_NOTE_SIZE x SIZE_PROBE_COUNT: a ring
export const SIZE_PROBE_COUNT = 7;
export const SIZE_NEXT = 680; // u32: probes of sizes sent
export const SIZE_STATE = 684; // u32: SizeSearch
export const SIZE_HINTED_MS = 688; // u32: when a hint last began a search, 0 = never
export const RTT_NEXT = 692; // u32: where the next round-trip sample goes
export const TOLD_REVISION = 696; // u32 atomic: of its last answer (ProbeLayout.REVISION_AT), 0 = it tells nothing

/** What is remembered of a probe until it is answered. */
export const PROBE_NOTE_SIZE = 24;
export const PROBE_NOTE_NONCE = 0; // u64 atomic, 0 = answered
export const PROBE_NOTE_SENT_US = 8; // f64, by the workers' clock
export const PROBE_NOTE_VALUE = 20; // u32: the probe's number, or of a probe of a size its bytes

export enum NodeHealth {
  unknown, // it never answered a probe: it may be no sapwood, so nothing is said of it
  reachable,
  lost,
}

/** Why the size of a path is being searched. */
export enum SizeSearch {
  none, // nothing was ever looked at
  idle,
  first,
  hint, // HINT: the size in use is tried first
  check, // whether the size in use still passes
  raise, // whether a larger one does
}
