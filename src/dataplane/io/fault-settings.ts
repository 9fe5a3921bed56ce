// What the devices of a worker are told to do wrong, so that a test sees what follows (docs/testing.md).

/** Of one device. Each share is between 0 and 1; what happens to a frame or a call is drawn for each kind by itself. */
export interface DeviceFaults {
  /** Shares of the frames, or messages of datagrams, that come. */
  readonly drop: number;
  readonly duplicate: number;
  /** Overtaken by the next one. */
  readonly reorder: number;
  /** Kept for `delayMs`. */
  readonly delay: number;
  /** Cut to a random part. */
  readonly truncate: number;
  /** One bit turned. */
  readonly corrupt: number;
  readonly delayMs: number;
  /** Share of the system calls that fail with one of `errnos` and do nothing. */
  readonly error: number;
  /** By number. Those that say that the descriptor is lost end the worker, as they do without a wrapper. */
  readonly errnos: readonly number[];
  /** Share of the calls that do only a part: of the messages, or of a frame. */
  readonly short: number;
}

export interface FaultSettings {
  /** The same seed and the same traffic give the same faults. */
  readonly seed: number;
  readonly tun: DeviceFaults;
  readonly tunnel: DeviceFaults;
}
