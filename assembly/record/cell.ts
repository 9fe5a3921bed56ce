// A number in shared memory that several threads use: a reference is its address. Its operations are those of the threads
// proposal of WebAssembly, sequentially consistent.

@unmanaged
export class Cell<T> {
  /** Without an order to other accesses: for a number that nobody writes meanwhile, or whose age does not matter. */
  value: T;

  load(): T {
    return atomic.load<T>(changetype<usize>(this));
  }

  store(value: T): void {
    atomic.store<T>(changetype<usize>(this), value);
  }

  /** Returns what it was before, as subtract() and the exchanges do. */
  add(value: T): T {
    return atomic.add<T>(changetype<usize>(this), value);
  }

  subtract(value: T): T {
    return atomic.sub<T>(changetype<usize>(this), value);
  }

  exchange(value: T): T {
    return atomic.xchg<T>(changetype<usize>(this), value);
  }

  exchangeIf(expected: T, value: T): T {
    return atomic.cmpxchg<T>(changetype<usize>(this), expected, value);
  }

  /** Sleeps at most so long, and only if it still has the value. */
  wait(value: T, nanoseconds: i64): void {
    atomic.wait<T>(changetype<usize>(this), value, nanoseconds);
  }

  /** Wakes all that wait for a change. */
  notify(): void {
    atomic.notify(changetype<usize>(this), i32.MAX_VALUE);
  }
}

/** Stores a number that comes after the present one, as serial numbers do (RFC 1982). */
export function advance(cell: Cell<u32>, value: u32): void {
  let known = cell.load();
  while (<i32>(value - known) > 0) {
    const found = cell.exchangeIf(known, value);
    if (found == known) return;
    known = found;
  }
}
