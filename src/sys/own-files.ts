// Files that a process with many rights keeps for itself: read and replaced without following a link that somebody
// else may have put there, and only in folders into which nobody else may write.

import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;
const FILE_MODE = 0o600;
const WRITABLE_BY_OTHERS = 0o022;
const OPEN_TO_OTHERS = 0o077;
const DRAFT = /\.[0-9a-f]{16}\.new$/;

/**
 * Makes sure that `folder` is a folder of this user (or of root) that nobody else may write to; makes it, and those
 * above it, when it is missing. Throws an Error that says what was found.
 */
export function requireOwnFolder(folder: string, mode: number): void {
  mkdirSync(folder, { recursive: true, mode });
  checkOwnFolder(folder);
}

/** The same for a folder that is there. */
export function checkOwnFolder(folder: string): void {
  const status = lstatSync(folder);
  if (!status.isDirectory()) throw new Error(`${folder} must be a folder; found a link or something else`);
  if (status.uid !== process.geteuid?.() && status.uid !== 0) {
    throw new Error(`${folder} must belong to this user or to root; found user ${status.uid}`);
  }
  if ((status.mode & WRITABLE_BY_OTHERS) !== 0) {
    const mode = (status.mode & 0o7777).toString(8).padStart(4, "0");
    throw new Error(`${folder} must be writable by its owner alone; found mode ${mode}`);
  }
}

/** A file with a secret: it must belong to this user or to root, and be closed to everybody else. */
export function readPrivateFile(path: string, mostBytes: number): Buffer | undefined {
  return readFile(path, mostBytes, ({ uid, mode }) => {
    if (uid !== process.geteuid?.() && uid !== 0) {
      throw new Error(`${path} must belong to this user or to root; found user ${uid}`);
    }
    if ((mode & OPEN_TO_OTHERS) !== 0) {
      const found = (mode & 0o7777).toString(8).padStart(4, "0");
      throw new Error(`${path} must be readable by its owner alone (mode 0600); found mode ${found}`);
    }
  });
}

/** The content of a regular file, or undefined when there is none. Throws for links, devices and larger files. */
export function readOwnFile(path: string, mostBytes: number): Buffer | undefined {
  return readFile(path, mostBytes, () => undefined);
}

/** The descriptor of a file, or undefined when there is none. Throws for links; what else it is, its user looks at. */
export function openToRead(path: string): number | undefined {
  try {
    return openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (code === "ELOOP") throw new Error(`${path} must be a file; found a link`);
    throw error;
  }
}

/** `check` throws for a file that is not as its user needs it. */
function readFile(path: string, mostBytes: number, check: (status: Stats) => void): Buffer | undefined {
  const file = openToRead(path);
  if (file === undefined) return undefined;
  try {
    const status = fstatSync(file);
    if (!status.isFile()) throw new Error(`${path} must be a file; found something else`);
    check(status);
    if (status.size > mostBytes) throw new Error(`${path} must have at most ${mostBytes} bytes; found ${status.size}`);
    const content = Buffer.alloc(status.size);
    let length = 0;
    while (length < content.length) {
      const part = readSync(file, content, length, content.length - length, length);
      if (part === 0) break;
      length += part;
    }
    return content.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

/** Writes a new file beside `path` and renames it, so that a crash leaves the old content or the new one. */
export function replaceOwnFile(path: string, content: string | Uint8Array, mode = FILE_MODE): void {
  const draft = join(dirname(path), draftOf(basename(path)));
  writeDraft(draft, content, mode);
  try {
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

/** Writes a file that is not there yet, and waits until the disk has it. When it throws there is no file. */
export function writeDraft(draft: string, content: string | Uint8Array, mode: number): void {
  const file = openSync(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  try {
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** Waits until the disk has the names of a folder: else the machine's end may undo a rename. */
export function syncFolder(folder: string): void {
  let file: number | undefined;
  try {
    file = openSync(folder, O_RDONLY | O_DIRECTORY);
    fsyncSync(file);
  } catch {
    // What was renamed is so, also where the file system or a lack of descriptors allows no more.
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Removes a regular file; anything else stays. */
export function removeOwnFile(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === true) rmSync(path, { force: true });
}

/** A new name for a file that is to take the place of `file`. */
export function draftOf(file: string): string {
  return `${file}.${randomBytes(8).toString("hex")}.new`;
}

/** The name that replaceOwnFile() was to give a draft; undefined for any other file. */
export function nameOfDraft(file: string): string | undefined {
  return DRAFT.test(file) ? file.replace(DRAFT, "") : undefined;
}
