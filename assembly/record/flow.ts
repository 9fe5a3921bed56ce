// A flow record, as a type. shared/layout/flow.ts says what each field means. The compiler holds the fields to their
// places.

import * as FlowLayout from "../shared/layout/flow.ts";

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
  openedMs: u32;
  seal: u64;

  @inline
  static at(address: usize): Flow {
    return changetype<Flow>(address);
  }

  @inline
  exchangeIfState(expected: u8, value: u8): u8 {
    return atomic.cmpxchg<u8>(changetype<usize>(this), expected, value, FlowLayout.STATE);
  }

  @inline
  storeState(value: u8): void {
    atomic.store<u8>(changetype<usize>(this), value, FlowLayout.STATE);
  }

  @inline
  exchangeIfOpenedMs(expected: u32, value: u32): u32 {
    return atomic.cmpxchg<u32>(changetype<usize>(this), expected, value, FlowLayout.OPENED_MS);
  }

  /** Of a process before this one, and not yet bound to what the tables hold. */
  @inline
  get isUnbound(): bool {
    return (this.state & <u8>FlowLayout.UNBOUND) != 0;
  }

  @inline
  andSeen(value: u8): u8 {
    return atomic.and<u8>(changetype<usize>(this), value, FlowLayout.SEEN);
  }

  @inline
  orSeen(value: u8): u8 {
    return atomic.or<u8>(changetype<usize>(this), value, FlowLayout.SEEN);
  }

  /** In one access: the client's port and the called one. */
  @inline
  get ports(): u32 {
    return load<u32>(changetype<usize>(this), FlowLayout.CLIENT_PORT);
  }

  @inline
  storePorts(value: u32): void {
    store<u32>(changetype<usize>(this), value, FlowLayout.CLIENT_PORT);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkFlow(): void {
  if (offsetof<Flow>("client") != FlowLayout.CLIENT) ERROR("Flow.client is misplaced");
  if (offsetof<Flow>("called") != FlowLayout.CALLED) ERROR("Flow.called is misplaced");
  if (offsetof<Flow>("clientInstanceAddress") != FlowLayout.CLIENT_INSTANCE_ADDRESS)
    ERROR("Flow.clientInstanceAddress is misplaced");
  if (offsetof<Flow>("target") != FlowLayout.TARGET) ERROR("Flow.target is misplaced");
  if (offsetof<Flow>("targetInstanceAddress") != FlowLayout.TARGET_INSTANCE_ADDRESS)
    ERROR("Flow.targetInstanceAddress is misplaced");
  if (offsetof<Flow>("clientPort") != FlowLayout.CLIENT_PORT) ERROR("Flow.clientPort is misplaced");
  if (offsetof<Flow>("calledPort") != FlowLayout.CALLED_PORT) ERROR("Flow.calledPort is misplaced");
  if (offsetof<Flow>("protocol") != FlowLayout.PROTOCOL) ERROR("Flow.protocol is misplaced");
  if (offsetof<Flow>("state") != FlowLayout.STATE) ERROR("Flow.state is misplaced");
  if (offsetof<Flow>("seen") != FlowLayout.SEEN) ERROR("Flow.seen is misplaced");
  if (offsetof<Flow>("windowScales") != FlowLayout.WINDOW_SCALES) ERROR("Flow.windowScales is misplaced");
  if (offsetof<Flow>("wirePort") != FlowLayout.WIRE_PORT) ERROR("Flow.wirePort is misplaced");
  if (offsetof<Flow>("node") != FlowLayout.NODE) ERROR("Flow.node is misplaced");
  if (offsetof<Flow>("confirmed") != FlowLayout.CONFIRMED) ERROR("Flow.confirmed is misplaced");
  if (offsetof<Flow>("forwardTcp") != FlowLayout.FORWARD_TCP) ERROR("Flow.forwardTcp is misplaced");
  if (offsetof<Flow>("reverseTcp") != FlowLayout.REVERSE_TCP) ERROR("Flow.reverseTcp is misplaced");
  if (offsetof<Flow>("lastUsedMs") != FlowLayout.LAST_USED_MS) ERROR("Flow.lastUsedMs is misplaced");
  if (offsetof<Flow>("forwardDelta") != FlowLayout.FORWARD_DELTA) ERROR("Flow.forwardDelta is misplaced");
  if (offsetof<Flow>("reverseDelta") != FlowLayout.REVERSE_DELTA) ERROR("Flow.reverseDelta is misplaced");
  if (offsetof<Flow>("forwardPackets") != FlowLayout.FORWARD_PACKETS) ERROR("Flow.forwardPackets is misplaced");
  if (offsetof<Flow>("reversePackets") != FlowLayout.REVERSE_PACKETS) ERROR("Flow.reversePackets is misplaced");
  if (offsetof<Flow>("answered") != FlowLayout.ANSWERED) ERROR("Flow.answered is misplaced");
  if (offsetof<Flow>("freeNext") != FlowLayout.FREE_NEXT) ERROR("Flow.freeNext is misplaced");
  if (offsetof<Flow>("instance") != FlowLayout.INSTANCE) ERROR("Flow.instance is misplaced");
  if (offsetof<Flow>("instanceIncarnation") != FlowLayout.INSTANCE_INCARNATION)
    ERROR("Flow.instanceIncarnation is misplaced");
  if (offsetof<Flow>("clientInstance") != FlowLayout.CLIENT_INSTANCE) ERROR("Flow.clientInstance is misplaced");
  if (offsetof<Flow>("clientIncarnation") != FlowLayout.CLIENT_INCARNATION)
    ERROR("Flow.clientIncarnation is misplaced");
  if (offsetof<Flow>("openedMs") != FlowLayout.OPENED_MS) ERROR("Flow.openedMs is misplaced");
  if (offsetof<Flow>("seal") != FlowLayout.SEAL) ERROR("Flow.seal is misplaced");
}
