// An instance record, and the flows of an instance (writers: control; data plane).
//
// Everything that a translation needs of one instance, which keeps its record as long as it is in the tables. The
// fields that may change have two places, PLACE_SIZE apart, and a version. Index 0 is never used. A family that the
// instance lacks has 16 zero bytes.
//    0 namespace v4   16 namespace v6   32 instance address v4   48 instance address v6   64 node } versioned
export const SIZE = 256;
export const PLACE_SIZE = 128;
export const NAMESPACE_V4 = 0;
export const NAMESPACE_V6 = 16;
export const ADDRESS_V4 = 32;
export const ADDRESS_V6 = 48;
export const NODE = 64; // u32: index of the node record
// Of the record as a whole, in the first place only
export const INCARNATION = 68; // u32: grows each time the index is given to another instance
export const DIED = 72; // u32 atomic: first generation without it; ALIVE as long as it is there
export const NUMBER = 76; // u32: instance number within its service (reports only)
export const VERSION = 80; // u32 atomic: versioned word over the two places
export const HEALTH = 84; // u32 atomic: InstanceHealth, of the instance that has the record now
export const ALIVE = -1; // 0xffffffff as i32: later than every generation

// Instance loads (writer: data plane; control sets them to 0 when the instance is gone). Each count is the lower half
// of an atomic u64 with the incarnation that it is of in the upper half, so that a flow which outlives an instance is
// not counted down on the next one.
export const LOAD_SIZE = 16;
export const LOAD_SERVED = 0; // live flows of this node's clients to service addresses that it serves
export const LOAD_CALLED = 8; // flows that it has as a client: its share of the flow table

/** What is known of an instance from checks that its service asks for, or from flows that it refused. */
export enum InstanceHealth {
  unknown, // it is not checked, or nothing is known yet: it is used like a healthy one
  healthy,
  suspect, // not checked; it refuses at a port where it served: policies see it like an unhealthy one, the engine goes by ports
  unhealthy, // it gets no new flows while the service has an instance that may be healthy
}
