// What the host and the engine module (assembly/engine.ts) expect of each other.
// One engine instance per worker; all state is in the shared memory (assembly/shared/layout).

/** Exports of engine.wasm. None of them throws, and none allocates. */
export interface EngineExports {
  /** Layout version that the module was built for. */
  layoutVersion(): number;
  /**
   * Binds this instance to a worker area, reads the region table, prepares the recvmmsg structures.
   * `memoryBase` is the native address of byte 0 of the memory, for iovec and msghdr structures.
   */
  attach(worker: number, memoryBase: bigint): void;
  /**
   * Translates the frames in TUN slots first...count-1 (lengths in WorkerLayout.TUN_LENGTHS), after emptying both
   * transmit queues. Returns the first slot that was not handled because a queue was full, or count. `nowUs` is a
   * monotonic clock in microseconds, the same for all workers.
   */
  egress(first: number, count: number, nowUs: number): number;
  /** The same for the messages that recvmmsg left in WorkerLayout.UDP_RX. */
  ingress(first: number, count: number, nowUs: number): number;
  /**
   * Looks at the other nodes and queues the probes that are due (after emptying both transmit queues); returns how
   * many. To be called when HeaderLayout.PROBE_PAUSE_MS is over: in a much longer time without a call no node could
   * have answered.
   */
  probe(nowUs: number): number;
  /**
   * Queues the parked packets whose address is known by now, and gives up those that waited too long (after emptying
   * both transmit queues). Returns how many are still to be handled because a queue was full.
   */
  unpark(nowUs: number): number;
  /** Ends idle flows among the next `budget` flow records; returns how many it ended. */
  sweep(nowUs: number, budget: number): number;
  /**
   * sendmmsg refused message `message` of WorkerLayout.UDP_TX with `errno`. Returns how many single datagrams are in
   * WorkerLayout.UDP_RETRY to be sent in its place; 0 = none, and the host counts the loss.
   */
  udpRejected(message: number, errno: number): number;
  /**
   * The tunnel's socket reports an error about a datagram to the sockaddr in WorkerLayout.ERROR_NAME: that it was too
   * long for the path, whose MTU is `mtu`, or that nobody took it. `origin` says who reports it (SO_EE_ORIGIN_*,
   * linux/errqueue.h); the first `quoted` bytes of the datagram are in WorkerLayout.ERROR_QUOTE.
   */
  pathError(errno: number, origin: number, mtu: number, quoted: number): void;
}

/** Imports of engine.wasm beside `env.memory`. */
export interface EngineImports {
  policy: {
    /**
     * A flow begins: asks the policy of the service record at address `serviceAt` for the index of a candidate.
     * -1 or anything out of range makes the engine choose by itself. Must not throw.
     */
    choose(serviceAt: number, flowHash: number, clientHash: number): number;
  };
}
