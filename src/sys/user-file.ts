// Reads a file that a user named, whatever is at its path: a pipe or a device might never end, or never begin.

import { constants as BUFFER } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, type Stats, statSync } from "node:fs";
import { SapwoodError } from "../base/errors.ts";
import { printableLine } from "../base/printable.ts";

/** The longest text that Node.js can hold, more than all the instances need that the tables have room for. */
export const TEXT_BYTES_MAX = BUFFER.MAX_STRING_LENGTH;

const STANDARD_INPUT = 0;
/** The path that stands for it. */
const STREAM = "-";
const PART_BYTES = 64 * 1024;
const RETRY_MS = 10;
/** What the caller has open already, as `<(...)` of a shell names it. */
const OPEN_DESCRIPTOR = /^\/(?:dev|proc\/(?:self|\d+))\/(?:fd\/\d+|stdin)$/;

/** The text of a file. Throws config-unreadable, also for a pipe, a device or a folder. */
export function readTextFile(path: string): string {
  return decodeTextFile(path, readTextFileBytes(path));
}

/** The same before it is known to be UTF-8. */
export function readTextFileBytes(path: string): Buffer {
  return orUnreadable(path, () => readRegularFile(path, TEXT_BYTES_MAX));
}

/** The text of a part of such a file. Throws config-unreadable. */
export function decodeTextFile(path: string, bytes: Uint8Array): string {
  return orUnreadable(path, () => new TextDecoder("utf-8", { fatal: true }).decode(bytes));
}

/** The same for a command that reads once: "-" is standard input, and a descriptor that is open may be a pipe. */
export function readTextOnce(path: string): string {
  if (path === STREAM) return asText(path, () => readToEnd(STANDARD_INPUT, TEXT_BYTES_MAX));
  if (!OPEN_DESCRIPTOR.test(path)) return readTextFile(path);
  return asText(path, () => {
    const file = openSync(path, constants.O_RDONLY);
    try {
      const status = fstatSync(file);
      if (!status.isFIFO()) requireFile(status);
      return readToEnd(file, TEXT_BYTES_MAX);
    } finally {
      closeSync(file);
    }
  });
}

/** All that comes on standard input, to its end. */
export function readStandardInput(): Buffer {
  return readToEnd(STANDARD_INPUT, TEXT_BYTES_MAX);
}

/** Throws an Error that says what is at the path, when it is no regular file of at most `mostBytes`. */
export function readRegularFile(path: string, mostBytes: number): Buffer {
  const file = openRegularFile(path);
  try {
    const { size } = fstatSync(file);
    if (size > mostBytes) throw tooLarge(mostBytes, `${size}`);
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}

/** A descriptor to read from. Throws an Error that says what is at the path, when it is no regular file. */
export function openRegularFile(path: string): number {
  requireFile(statSync(path)); // to open a device may do something
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    requireFile(fstatSync(file));
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/** What is at a path, behind its links. Undefined when there is nothing, or out of reach: whoever opens it says why. */
export function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function requireFile(status: Stats): void {
  const problem = whyNoFile(status);
  if (problem !== undefined) throw new Error(problem);
}

/** What is there instead of a regular file, as a part of a sentence. */
export function whyNoFile(status: Stats): string | undefined {
  return status.isFile() ? undefined : `expected a file, found ${kindOf(status)}`;
}

/** What something in a file system is, with its article. */
function kindOf(status: Stats): string {
  if (status.isDirectory()) return "a folder";
  if (status.isFIFO()) return "a named pipe";
  if (status.isSocket()) return "a socket";
  return "a device";
}

function tooLarge(mostBytes: number, found: string): Error {
  return new Error(`expected at most ${mostBytes} bytes, found ${found}`);
}

function readToEnd(file: number, mostBytes: number): Buffer {
  const parts: Buffer[] = [];
  let length = 0;
  for (;;) {
    const part = Buffer.alloc(PART_BYTES);
    const count = readPart(file, part);
    if (count === 0) return Buffer.concat(parts);
    length += count;
    if (length > mostBytes) throw tooLarge(mostBytes, "more");
    parts.push(part.subarray(0, count));
  }
}

/** Whoever shares a descriptor may have told the kernel not to wait for its other end. */
function readPart(file: number, part: Buffer): number {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      return readSync(file, part);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, RETRY_MS);
    }
  }
}

/** How messages call a file that a command reads once. */
export function fileNameOf(path: string): string {
  return path === STREAM ? "standard input" : printableLine(path);
}

function asText(path: string, read: () => Buffer): string {
  return decodeTextFile(path, orUnreadable(path, read));
}

function orUnreadable<Result>(path: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof SapwoodError) throw error;
    throw new SapwoodError("config-unreadable", `${fileNameOf(path)} cannot be read: ${whyUnreadable(error)}.`, {
      cause: error,
    });
  }
}

/** A sentence's part for what the kernel and Node say in codes. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of its path is no folder",
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
  ELOOP: "its links lead to each other",
  ENAMETOOLONG: "its name is too long",
  EIO: "the device that holds it reports an error",
  ERR_ENCODING_INVALID_ENCODED_DATA: "expected text in UTF-8, found other bytes",
};

/** Why a file cannot be read, as a part of a sentence. */
export function whyUnreadable(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error.message;
  const reason = REASONS[code];
  return reason === undefined ? code : code.startsWith("ERR_") ? reason : `${reason} (${code})`;
}
