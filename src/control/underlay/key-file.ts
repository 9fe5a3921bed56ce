// A node's private key for the encrypted underlay: a file that nobody but its owner may read.
// Promises: the key itself is in no sentence, log or report; an existing file is never overwritten.

import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { SapwoodError } from "../../base/errors.ts";
import { isWireguardKey, newPrivateKey, publicKeyOf } from "../../net/wireguard-key.ts";
import { draftOf, syncFolder, writeDraft } from "../../sys/own-files.ts";

/** Where the key in force is, and the one that is to replace it, if there is one. */
export interface KeyFiles {
  readonly current: string;
  readonly next: string;
}

const KEY_MODE = 0o600;
/** Longest content that can be a key: 44 characters and the end of the line. */
const CONTENT_MAX = 64;

export function keyFiles(stateDirectory: string): KeyFiles {
  return { current: join(stateDirectory, "wireguard.key"), next: join(stateDirectory, "wireguard.next.key") };
}

/** The public key of a private key file, which is made if there is none. Throws key-unusable. */
export function ensureKey(path: string): string {
  return readKey(path) ?? makeKey(path);
}

/** The public key of a private key file, or undefined when there is no file. Throws key-unusable. */
export function readKey(path: string): string | undefined {
  const content = readPrivate(path);
  if (content === undefined) return undefined;
  const key = content.trim();
  if (isWireguardKey(key)) return publicKeyOf(key);
  throw new SapwoodError(
    "key-unusable",
    `${path} must hold a WireGuard private key, 44 characters of base64; found something else.`,
  );
}

/** Makes the next key the current one. Throws key-unusable. */
export function promoteNextKey({ current, next }: KeyFiles): void {
  try {
    renameSync(next, current);
    syncFolder(dirname(current));
  } catch (error) {
    throw unusable(`${next} could not be renamed to ${current}`, error);
  }
}

/** A key is there as a whole or not at all, also where the disk is full or the machine ends meanwhile. */
function makeKey(path: string): string {
  const key = newPrivateKey();
  const draft = join(dirname(path), draftOf(basename(path)));
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeDraft(draft, `${key}\n`, KEY_MODE);
    try {
      linkSync(draft, path); // never takes the place of a file, as a rename would
    } finally {
      rmSync(draft, { force: true });
    }
    syncFolder(dirname(path));
  } catch (error) {
    throw unusable(`${path} could not be written`, error);
  }
  return publicKeyOf(key);
}

/** The content of a file that only this user may read; undefined when there is none. */
function readPrivate(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unusable(`${path} could not be read`, error);
  }
  try {
    const { mode, uid, size } = fstatSync(file);
    const found =
      (mode & constants.S_IFMT) !== constants.S_IFREG
        ? "something else"
        : uid !== process.geteuid?.()
          ? `a file of user ${uid}`
          : (mode & 0o077) !== 0
            ? `a file with mode ${(mode & 0o777).toString(8)}`
            : size > CONTENT_MAX
              ? `a file of ${size} bytes`
              : undefined;
    if (found === undefined) return readFileSync(file, "utf8");
    throw new SapwoodError(
      "key-unusable",
      `${path} must be a file of user ${process.geteuid?.()} that nobody else may read (mode 600), with one key; found ${found}.`,
    );
  } finally {
    closeSync(file);
  }
}

function unusable(what: string, error: unknown): SapwoodError {
  const reason = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
  return new SapwoodError("key-unusable", `${what} (${reason}).`, { cause: error });
}
