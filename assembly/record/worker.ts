// The area of a worker and an entry of its TUN transmit queue, as types. What the host needs, too, is described in
// shared/layout/worker.ts.

import * as WorkerLayout from "../shared/layout/worker.ts";
import { Cell } from "./cell.ts";

@unmanaged
export class WorkerArea {
  private gap0: u32;
  generation: u32;
  udpTxCount: u32;
  tunTxCount: u32;
  evictCursor: u32; // flow record at which the next search for a victim goes on
  sweepCursor: u32; // flow record at which the next sweep goes on
  udpTxFragmented: u32;
  portCursor: u32;
  limboYoung: u32;
  limboOld: u32;
  portTries: u32; // ports that this call may still try
  incarnation: u32;
  locking: u32;
  noting: u32;
  noteCount: u32;
  private gap1: u32;
  limboSequences: u32;
  private gap2: u32;
  private gap3: u64;
  private gap4: v128;
  private gap5: v128;
  private gap6: v128;
  private gap7: v128;
  private gap8: v128;
  private gap9: v128;
  private gap10: v128;
  private gap11: v128;
  private gap12: v128;
  releasedFirst: u32;
  fragmentNext: u32;
  refusalCount: u32;
  ageCursor: u32; // first fragment at which the next sweep goes on

  static at(address: usize): WorkerArea {
    return changetype<WorkerArea>(address);
  }

  /** Length of the frame in a TUN slot, virtio_net_hdr included. */
  tunLength(slot: u32): u32 {
    return load<u32>(changetype<usize>(this) + (slot << 2), WorkerLayout.TUN_LENGTHS);
  }

  counted(counter: u32): u64 {
    return load<u64>(changetype<usize>(this) + (counter << 3), WorkerLayout.COUNTERS);
  }

  /** Flow hash of a packet of the batch, as storeFlowHash() left it. */
  flowHash(index: u32): u64 {
    return load<u64>(changetype<usize>(this) + (index << 3), WorkerLayout.PREFETCH);
  }

  storeFlowHash(index: u32, hash: u64): void {
    store<u64>(changetype<usize>(this) + (index << 3), hash, WorkerLayout.PREFETCH);
  }

  /** Thousandths of an answer that are left of a WorkerLayout.AnswerShare. */
  answerTokens(share: u32): u32 {
    return load<u32>(changetype<usize>(this) + (share << 2), WorkerLayout.ANSWER_TOKENS);
  }

  setAnswerTokens(share: u32, tokens: u32): void {
    store<u32>(changetype<usize>(this) + (share << 2), tokens, WorkerLayout.ANSWER_TOKENS);
  }

  get answersRefilledMs(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + WorkerLayout.ANSWERS_REFILLED_MS);
  }

  get nextIdentification(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + WorkerLayout.NEXT_IDENTIFICATION);
  }

  get pagesReceived(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + WorkerLayout.PAGES_RECEIVED);
  }

  get sequence(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + WorkerLayout.SEQUENCE);
  }
}

@unmanaged
export class TunWrite {
  iov: u64;
  iovCount: u32;
  packets: u32;

  static at(address: usize): TunWrite {
    return changetype<TunWrite>(address);
  }
}
