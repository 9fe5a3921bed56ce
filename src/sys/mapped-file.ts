// A file in memory (tmpfs) whose bytes are those of a range of this process's memory, so that they are still there when
// the process is killed. Promises: writing to a mapped range never fails for lack of room, which would end the process.

import { statfsSync } from "node:fs";
import { expectSuccess, fallocate, mmap } from "./libc.ts";

/** linux/magic.h */
const TMPFS_MAGIC = 0x01021994;
// asm-generic/mman-common.h
const PROT_READ = 0x1;
const PROT_WRITE = 0x2;
const MAP_SHARED = 0x1;
const MAP_FIXED = 0x10;

/** Whether the files of `folder` are in memory, and not on a disk that every write would go to. */
export function isInMemory(folder: string): boolean {
  return statfsSync(folder).type === TMPFS_MAGIC;
}

/**
 * Makes `size` bytes of the open file, from `offset` on, the memory at `address`. All are multiples of the page size,
 * and nobody uses that memory yet. Throws when there is no room for them.
 */
export function mapFile(file: number, offset: number, address: bigint, size: number): void {
  expectSuccess(fallocate(file, 0, offset, size), `Making room for ${size} bytes`);
  const at = Number(address);
  expectSuccess(mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, offset), "Mapping the file");
}
