import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ensureKey,
  type KeyFiles,
  keyFiles,
  promoteNextKey,
  readKey,
} from "../../../../src/control/underlay/key-file.ts";
import { isWireguardKey, newPrivateKey, publicKeyOf } from "../../../../src/net/wireguard-key.ts";

let folder: string;
let files: KeyFiles;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-key-"));
  files = keyFiles(join(folder, "state"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a key is made once, in a file that nobody else may read", () => {
  expect(readKey(files.current)).toBeUndefined();
  const publicKey = ensureKey(files.current);
  expect(isWireguardKey(publicKey)).toBe(true);
  expect(ensureKey(files.current)).toBe(publicKey);
  expect(readKey(files.current)).toBe(publicKey);
  expect(statSync(files.current).mode & 0o777).toBe(0o600);
  expect(readFileSync(files.current, "utf8")).toMatch(/^[A-Za-z0-9+/]{43}=\n$/); // as `wg genkey` writes it
});

test("the next key takes the place of the current one", () => {
  ensureKey(files.current);
  const next = ensureKey(files.next);
  promoteNextKey(files);
  expect(readKey(files.current)).toBe(next);
  expect(existsSync(files.next)).toBe(false);
});

test("without a next key the current one stays", () => {
  const publicKey = ensureKey(files.current);
  expect(() => promoteNextKey(files)).toThrow(/could not be renamed .*\(ENOENT\)/);
  expect(readKey(files.current)).toBe(publicKey);
});

describe("a file that is not fit to hold a key is refused, with what was found, and left as it is", () => {
  const key = newPrivateKey();

  test.each([
    ["others may read it", "mode 644", () => write(`${key}\n`, 0o644)],
    ["its group may read it", "mode 640", () => write(`${key}\n`, 0o640)],
    ["it is a link", "ELOOP", () => symlinkSync("/dev/null", place())],
    ["it is a folder", "something else", () => mkdirSync(place())],
    ["it is too long", "file of 500 bytes", () => write("x".repeat(500), 0o600)],
    ["it holds no key", "found something else", () => write("secret\n", 0o600)],
    ["it is empty", "found something else", () => write("", 0o600)],
  ])("%s", (_why, found, make) => {
    make();
    for (const use of [readKey, ensureKey]) {
      expect(() => use(files.current)).toThrow(
        expect.objectContaining({ code: "key-unusable", message: expect.stringContaining(found) }),
      );
    }
  });

  test("no sentence has the private key", () => {
    write(`${key}\n`, 0o644);
    expect(() => readKey(files.current)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining(key) }),
    );
  });

  test("the key of a good file is its public key", () => {
    write(`${key}\n`, 0o600);
    expect(readKey(files.current)).toBe(publicKeyOf(key));
  });

  function write(text: string, mode: number): void {
    writeFileSync(place(), text);
    chmodSync(files.current, mode);
  }

  function place(): string {
    mkdirSync(join(folder, "state"), { recursive: true });
    return files.current;
  }
});
