// A flow record, as a type. shared/layout/flow.ts says what each field means.

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

  static at(address: usize): Flow {
    return changetype<Flow>(address);
  }

  exchangeIfState(expected: u8, value: u8): u8 {
    return atomic.cmpxchg<u8>(changetype<usize>(this), expected, value, FlowLayout.STATE);
  }

  storeState(value: u8): void {
    atomic.store<u8>(changetype<usize>(this), value, FlowLayout.STATE);
  }

  exchangeIfOpenedMs(expected: u32, value: u32): u32 {
    return atomic.cmpxchg<u32>(changetype<usize>(this), expected, value, FlowLayout.OPENED_MS);
  }

  /** Of a process before this one, and not yet bound to what the tables hold. */
  get isUnbound(): bool {
    return (this.state & <u8>FlowLayout.UNBOUND) != 0;
  }

  andSeen(value: u8): u8 {
    return atomic.and<u8>(changetype<usize>(this), value, FlowLayout.SEEN);
  }

  orSeen(value: u8): u8 {
    return atomic.or<u8>(changetype<usize>(this), value, FlowLayout.SEEN);
  }

  /** In one access: the client's port and the called one. */
  get ports(): u32 {
    return load<u32>(changetype<usize>(this), FlowLayout.CLIENT_PORT);
  }

  storePorts(value: u32): void {
    store<u32>(changetype<usize>(this), value, FlowLayout.CLIENT_PORT);
  }
}
