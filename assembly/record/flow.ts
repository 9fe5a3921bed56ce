// A flow record, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  FLOW_ANSWERED,
  FLOW_CALLED,
  FLOW_CALLED_PORT,
  FLOW_CLIENT,
  FLOW_CLIENT_INCARNATION,
  FLOW_CLIENT_INSTANCE,
  FLOW_CLIENT_INSTANCE_ADDRESS,
  FLOW_CLIENT_PORT,
  FLOW_CONFIRMED,
  FLOW_FORWARD_DELTA,
  FLOW_FORWARD_PACKETS,
  FLOW_FORWARD_TCP,
  FLOW_FREE_NEXT,
  FLOW_INSTANCE,
  FLOW_INSTANCE_INCARNATION,
  FLOW_LAST_USED_MS,
  FLOW_NODE,
  FLOW_PROTOCOL,
  FLOW_REVERSE_DELTA,
  FLOW_REVERSE_PACKETS,
  FLOW_REVERSE_TCP,
  FLOW_SEEN,
  FLOW_STATE,
  FLOW_TARGET,
  FLOW_TARGET_INSTANCE_ADDRESS,
  FLOW_WINDOW_SCALES,
  FLOW_WIRE_PORT,
} from "../shared/layout.ts";

@unmanaged
export class Flow {
  client: v128;
  called: v128;
  clientInstanceAddress: v128;
  target: v128;
  targetInstanceAddress: v128;
  clientPort: u16;
  calledPort: u16;
  protocol: u8;
  state: u8;
  seen: u8;
  windowScales: u8;
  wirePort: u16;
  node: u16;
  confirmed: u32;
  forwardTcp: u64;
  reverseTcp: u64;
  lastUsedMs: u32;
  forwardDelta: u16;
  reverseDelta: u16;
  forwardPackets: u32;
  reversePackets: u32;
  answered: v128;
  freeNext: u32;
  instance: u32;
  instanceIncarnation: u32;
  clientInstance: u32;
  clientIncarnation: u32;

  @inline
  static at(address: usize): Flow {
    return changetype<Flow>(address);
  }

  @inline
  exchangeIfState(expected: u8, value: u8): u8 {
    return atomic.cmpxchg<u8>(changetype<usize>(this), expected, value, FLOW_STATE);
  }

  @inline
  storeState(value: u8): void {
    atomic.store<u8>(changetype<usize>(this), value, FLOW_STATE);
  }

  @inline
  andSeen(value: u8): u8 {
    return atomic.and<u8>(changetype<usize>(this), value, FLOW_SEEN);
  }

  @inline
  orSeen(value: u8): u8 {
    return atomic.or<u8>(changetype<usize>(this), value, FLOW_SEEN);
  }

  /** In one access: the client's port and the called one. */
  @inline
  get ports(): u32 {
    return load<u32>(changetype<usize>(this), FLOW_CLIENT_PORT);
  }

  @inline
  storePorts(value: u32): void {
    store<u32>(changetype<usize>(this), value, FLOW_CLIENT_PORT);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkFlow(): void {
  if (offsetof<Flow>("client") != FLOW_CLIENT) ERROR("Flow.client is not at FLOW_CLIENT");
  if (offsetof<Flow>("called") != FLOW_CALLED) ERROR("Flow.called is not at FLOW_CALLED");
  if (offsetof<Flow>("clientInstanceAddress") != FLOW_CLIENT_INSTANCE_ADDRESS)
    ERROR("Flow.clientInstanceAddress is not at FLOW_CLIENT_INSTANCE_ADDRESS");
  if (offsetof<Flow>("target") != FLOW_TARGET) ERROR("Flow.target is not at FLOW_TARGET");
  if (offsetof<Flow>("targetInstanceAddress") != FLOW_TARGET_INSTANCE_ADDRESS)
    ERROR("Flow.targetInstanceAddress is not at FLOW_TARGET_INSTANCE_ADDRESS");
  if (offsetof<Flow>("clientPort") != FLOW_CLIENT_PORT) ERROR("Flow.clientPort is not at FLOW_CLIENT_PORT");
  if (offsetof<Flow>("calledPort") != FLOW_CALLED_PORT) ERROR("Flow.calledPort is not at FLOW_CALLED_PORT");
  if (offsetof<Flow>("protocol") != FLOW_PROTOCOL) ERROR("Flow.protocol is not at FLOW_PROTOCOL");
  if (offsetof<Flow>("state") != FLOW_STATE) ERROR("Flow.state is not at FLOW_STATE");
  if (offsetof<Flow>("seen") != FLOW_SEEN) ERROR("Flow.seen is not at FLOW_SEEN");
  if (offsetof<Flow>("windowScales") != FLOW_WINDOW_SCALES) ERROR("Flow.windowScales is not at FLOW_WINDOW_SCALES");
  if (offsetof<Flow>("wirePort") != FLOW_WIRE_PORT) ERROR("Flow.wirePort is not at FLOW_WIRE_PORT");
  if (offsetof<Flow>("node") != FLOW_NODE) ERROR("Flow.node is not at FLOW_NODE");
  if (offsetof<Flow>("confirmed") != FLOW_CONFIRMED) ERROR("Flow.confirmed is not at FLOW_CONFIRMED");
  if (offsetof<Flow>("forwardTcp") != FLOW_FORWARD_TCP) ERROR("Flow.forwardTcp is not at FLOW_FORWARD_TCP");
  if (offsetof<Flow>("reverseTcp") != FLOW_REVERSE_TCP) ERROR("Flow.reverseTcp is not at FLOW_REVERSE_TCP");
  if (offsetof<Flow>("lastUsedMs") != FLOW_LAST_USED_MS) ERROR("Flow.lastUsedMs is not at FLOW_LAST_USED_MS");
  if (offsetof<Flow>("forwardDelta") != FLOW_FORWARD_DELTA) ERROR("Flow.forwardDelta is not at FLOW_FORWARD_DELTA");
  if (offsetof<Flow>("reverseDelta") != FLOW_REVERSE_DELTA) ERROR("Flow.reverseDelta is not at FLOW_REVERSE_DELTA");
  if (offsetof<Flow>("forwardPackets") != FLOW_FORWARD_PACKETS)
    ERROR("Flow.forwardPackets is not at FLOW_FORWARD_PACKETS");
  if (offsetof<Flow>("reversePackets") != FLOW_REVERSE_PACKETS)
    ERROR("Flow.reversePackets is not at FLOW_REVERSE_PACKETS");
  if (offsetof<Flow>("answered") != FLOW_ANSWERED) ERROR("Flow.answered is not at FLOW_ANSWERED");
  if (offsetof<Flow>("freeNext") != FLOW_FREE_NEXT) ERROR("Flow.freeNext is not at FLOW_FREE_NEXT");
  if (offsetof<Flow>("instance") != FLOW_INSTANCE) ERROR("Flow.instance is not at FLOW_INSTANCE");
  if (offsetof<Flow>("instanceIncarnation") != FLOW_INSTANCE_INCARNATION)
    ERROR("Flow.instanceIncarnation is not at FLOW_INSTANCE_INCARNATION");
  if (offsetof<Flow>("clientInstance") != FLOW_CLIENT_INSTANCE)
    ERROR("Flow.clientInstance is not at FLOW_CLIENT_INSTANCE");
  if (offsetof<Flow>("clientIncarnation") != FLOW_CLIENT_INCARNATION)
    ERROR("Flow.clientIncarnation is not at FLOW_CLIENT_INCARNATION");
}
