// Whether somebody has a file open for writing: the kernel grants a lease for reading only when nobody has
// (fcntl(2), F_SETLEASE).

import { closeSync, constants, openSync, statSync } from "node:fs";
import { EAGAIN, fcntlNumber } from "./libc.ts";

// linux/fcntl.h
const F_SETLEASE = 1024;
const F_RDLCK = 0;
const F_UNLCK = 2;

/** Undefined when the kernel does not tell: it is no file, of another user, or on a file system without leases. */
export function isBeingWritten(path: string): boolean | undefined {
  let file: number;
  try {
    if (!statSync(path).isFile()) return undefined;
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const result = fcntlNumber(file, F_SETLEASE, F_RDLCK);
    if (result < 0) return result === -EAGAIN ? true : undefined;
    fcntlNumber(file, F_SETLEASE, F_UNLCK);
    return false;
  } finally {
    closeSync(file);
  }
}
