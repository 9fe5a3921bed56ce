// The area of a worker, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  WORKER_AGE_CURSOR,
  WORKER_EVICT_CURSOR,
  WORKER_FRAGMENT_NEXT,
  WORKER_GENERATION,
  WORKER_INCARNATION,
  WORKER_LIMBO_OLD,
  WORKER_LIMBO_SEQUENCES,
  WORKER_LIMBO_YOUNG,
  WORKER_LOCKING,
  WORKER_PORT_CURSOR,
  WORKER_PORT_TRIES,
  WORKER_PREFETCH,
  WORKER_REFUSAL_COUNT,
  WORKER_RELEASED_FIRST,
  WORKER_SEQUENCE,
  WORKER_SWEEP_CURSOR,
  WORKER_TUN_LENGTHS,
  WORKER_TUN_TX_COUNT,
  WORKER_UDP_TX_COUNT,
  WORKER_UDP_TX_FRAGMENTED,
} from "../shared/layout.ts";

@unmanaged
export class WorkerArea {
  sequence: u32;
  generation: u32;
  udpTxCount: u32;
  tunTxCount: u32;
  evictCursor: u32;
  sweepCursor: u32;
  udpTxFragmented: u32;
  portCursor: u32;
  limboYoung: u32;
  limboOld: u32;
  portTries: u32;
  incarnation: u32;
  locking: u32;
  private gap0: u32;
  private gap1: u64;
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
  ageCursor: u32;
  private gap13: v128;
  private gap14: v128;
  private gap15: v128;
  private gap16: v128;
  private gap17: v128;
  private gap18: v128;
  private gap19: v128;
  private gap20: v128;
  private gap21: v128;
  private gap22: v128;
  private gap23: v128;
  private gap24: v128;
  private gap25: v128;
  private gap26: v128;
  private gap27: v128;
  private gap28: v128;
  private gap29: v128;
  private gap30: v128;
  private gap31: v128;
  private gap32: v128;
  private gap33: v128;
  private gap34: v128;
  private gap35: v128;
  private gap36: v128;
  private gap37: v128;
  private gap38: v128;
  private gap39: v128;
  private gap40: v128;
  private gap41: v128;
  private gap42: v128;
  private gap43: v128;
  private gap44: v128;
  private gap45: v128;
  private gap46: v128;
  private gap47: v128;
  private gap48: v128;
  private gap49: v128;
  private gap50: v128;
  private gap51: v128;
  private gap52: v128;
  private gap53: v128;
  private gap54: v128;
  private gap55: v128;
  private gap56: v128;
  private gap57: v128;
  private gap58: v128;
  private gap59: v128;
  private gap60: v128;
  private gap61: v128;
  private gap62: v128;
  private gap63: v128;
  private gap64: v128;
  private gap65: v128;
  private gap66: v128;
  private gap67: v128;
  private gap68: v128;
  private gap69: v128;
  private gap70: v128;
  private gap71: v128;
  private gap72: v128;
  private gap73: v128;
  private gap74: v128;
  private gap75: v128;
  private gap76: v128;
  private gap77: v128;
  private gap78: v128;
  private gap79: v128;
  private gap80: v128;
  private gap81: v128;
  private gap82: v128;
  private gap83: v128;
  private gap84: v128;
  private gap85: v128;
  private gap86: v128;
  private gap87: v128;
  private gap88: v128;
  private gap89: v128;
  private gap90: v128;
  private gap91: v128;
  private gap92: v128;
  private gap93: v128;
  private gap94: v128;
  private gap95: v128;
  private gap96: v128;
  private gap97: v128;
  private gap98: v128;
  private gap99: v128;
  private gap100: v128;
  private gap101: v128;
  private gap102: v128;
  private gap103: v128;
  private gap104: v128;
  private gap105: v128;
  private gap106: v128;
  private gap107: v128;
  private gap108: v128;
  private gap109: v128;
  private gap110: v128;
  private gap111: v128;
  private gap112: v128;
  private gap113: v128;
  private gap114: v128;
  private gap115: v128;
  private gap116: v128;
  private gap117: v128;
  private gap118: v128;
  private gap119: v128;
  private gap120: v128;
  private gap121: v128;
  private gap122: v128;
  private gap123: v128;
  private gap124: v128;
  private gap125: v128;
  private gap126: v128;
  private gap127: v128;
  private gap128: v128;
  private gap129: v128;
  private gap130: v128;
  private gap131: v128;
  private gap132: v128;
  private gap133: v128;
  private gap134: v128;
  private gap135: v128;
  private gap136: v128;
  private gap137: v128;
  private gap138: v128;
  private gap139: v128;
  private gap140: v128;
  private gap141: v128;
  private gap142: v128;
  private gap143: v128;
  private gap144: v128;
  private gap145: v128;
  private gap146: v128;
  private gap147: v128;
  private gap148: v128;
  private gap149: v128;
  private gap150: v128;
  private gap151: v128;
  private gap152: v128;
  private gap153: v128;
  private gap154: v128;
  private gap155: v128;
  private gap156: v128;
  private gap157: v128;
  private gap158: v128;
  private gap159: v128;
  private gap160: v128;
  private gap161: v128;
  private gap162: v128;
  private gap163: v128;
  private gap164: v128;
  private gap165: v128;
  private gap166: v128;
  private gap167: v128;
  private gap168: v128;
  private gap169: v128;
  private gap170: v128;
  private gap171: v128;
  private gap172: v128;
  private gap173: v128;
  private gap174: v128;
  private gap175: v128;
  private gap176: v128;
  private gap177: v128;
  private gap178: v128;
  private gap179: v128;
  private gap180: v128;
  private gap181: v128;
  private gap182: v128;
  private gap183: v128;
  private gap184: v128;
  private gap185: v128;
  private gap186: v128;
  private gap187: v128;
  private gap188: v128;
  private gap189: v128;
  prefetch: u64;
  private gap190: u64;
  private gap191: v128;
  private gap192: v128;
  private gap193: v128;
  private gap194: v128;
  private gap195: v128;
  private gap196: v128;
  private gap197: v128;
  private gap198: v128;
  private gap199: v128;
  private gap200: v128;
  private gap201: v128;
  private gap202: v128;
  private gap203: v128;
  private gap204: v128;
  private gap205: v128;
  private gap206: v128;
  private gap207: v128;
  private gap208: v128;
  private gap209: v128;
  private gap210: v128;
  private gap211: v128;
  private gap212: v128;
  private gap213: v128;
  private gap214: v128;
  private gap215: v128;
  private gap216: v128;
  private gap217: v128;
  private gap218: v128;
  private gap219: v128;
  private gap220: v128;
  private gap221: v128;
  private gap222: v128;
  private gap223: v128;
  private gap224: v128;
  private gap225: v128;
  private gap226: v128;
  private gap227: v128;
  private gap228: v128;
  private gap229: v128;
  private gap230: v128;
  private gap231: v128;
  private gap232: v128;
  private gap233: v128;
  private gap234: v128;
  private gap235: v128;
  private gap236: v128;
  private gap237: v128;
  private gap238: v128;
  private gap239: v128;
  private gap240: v128;
  private gap241: v128;
  private gap242: v128;
  private gap243: v128;
  private gap244: v128;
  private gap245: v128;
  private gap246: v128;
  private gap247: v128;
  private gap248: v128;
  private gap249: v128;
  private gap250: v128;
  private gap251: v128;
  private gap252: v128;
  private gap253: v128;
  tunLengths: u32;

  @inline
  static at(address: usize): WorkerArea {
    return changetype<WorkerArea>(address);
  }

  @inline
  addSequence(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, WORKER_SEQUENCE);
  }

  @inline
  loadSequence(): u32 {
    return atomic.load<u32>(changetype<usize>(this), WORKER_SEQUENCE);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkWorkerArea(): void {
  if (offsetof<WorkerArea>("sequence") != WORKER_SEQUENCE) ERROR("WorkerArea.sequence is not at WORKER_SEQUENCE");
  if (offsetof<WorkerArea>("generation") != WORKER_GENERATION)
    ERROR("WorkerArea.generation is not at WORKER_GENERATION");
  if (offsetof<WorkerArea>("udpTxCount") != WORKER_UDP_TX_COUNT)
    ERROR("WorkerArea.udpTxCount is not at WORKER_UDP_TX_COUNT");
  if (offsetof<WorkerArea>("tunTxCount") != WORKER_TUN_TX_COUNT)
    ERROR("WorkerArea.tunTxCount is not at WORKER_TUN_TX_COUNT");
  if (offsetof<WorkerArea>("evictCursor") != WORKER_EVICT_CURSOR)
    ERROR("WorkerArea.evictCursor is not at WORKER_EVICT_CURSOR");
  if (offsetof<WorkerArea>("sweepCursor") != WORKER_SWEEP_CURSOR)
    ERROR("WorkerArea.sweepCursor is not at WORKER_SWEEP_CURSOR");
  if (offsetof<WorkerArea>("udpTxFragmented") != WORKER_UDP_TX_FRAGMENTED)
    ERROR("WorkerArea.udpTxFragmented is not at WORKER_UDP_TX_FRAGMENTED");
  if (offsetof<WorkerArea>("portCursor") != WORKER_PORT_CURSOR)
    ERROR("WorkerArea.portCursor is not at WORKER_PORT_CURSOR");
  if (offsetof<WorkerArea>("limboYoung") != WORKER_LIMBO_YOUNG)
    ERROR("WorkerArea.limboYoung is not at WORKER_LIMBO_YOUNG");
  if (offsetof<WorkerArea>("limboOld") != WORKER_LIMBO_OLD) ERROR("WorkerArea.limboOld is not at WORKER_LIMBO_OLD");
  if (offsetof<WorkerArea>("portTries") != WORKER_PORT_TRIES) ERROR("WorkerArea.portTries is not at WORKER_PORT_TRIES");
  if (offsetof<WorkerArea>("incarnation") != WORKER_INCARNATION)
    ERROR("WorkerArea.incarnation is not at WORKER_INCARNATION");
  if (offsetof<WorkerArea>("locking") != WORKER_LOCKING) ERROR("WorkerArea.locking is not at WORKER_LOCKING");
  if (offsetof<WorkerArea>("limboSequences") != WORKER_LIMBO_SEQUENCES)
    ERROR("WorkerArea.limboSequences is not at WORKER_LIMBO_SEQUENCES");
  if (offsetof<WorkerArea>("releasedFirst") != WORKER_RELEASED_FIRST)
    ERROR("WorkerArea.releasedFirst is not at WORKER_RELEASED_FIRST");
  if (offsetof<WorkerArea>("fragmentNext") != WORKER_FRAGMENT_NEXT)
    ERROR("WorkerArea.fragmentNext is not at WORKER_FRAGMENT_NEXT");
  if (offsetof<WorkerArea>("refusalCount") != WORKER_REFUSAL_COUNT)
    ERROR("WorkerArea.refusalCount is not at WORKER_REFUSAL_COUNT");
  if (offsetof<WorkerArea>("ageCursor") != WORKER_AGE_CURSOR) ERROR("WorkerArea.ageCursor is not at WORKER_AGE_CURSOR");
  if (offsetof<WorkerArea>("prefetch") != WORKER_PREFETCH) ERROR("WorkerArea.prefetch is not at WORKER_PREFETCH");
  if (offsetof<WorkerArea>("tunLengths") != WORKER_TUN_LENGTHS)
    ERROR("WorkerArea.tunLengths is not at WORKER_TUN_LENGTHS");
}
