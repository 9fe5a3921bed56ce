import { expect, test } from "vitest";
import { SapwoodError } from "../../../src/base/errors.ts";
import { shortageOf } from "../../../src/base/shortage.ts";

function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${syscall} failed`), { code, syscall });
}

test.each([
  ["EMFILE", "open", /as many files and sockets open as it may/],
  ["ENFILE", "socket", /machine has as many files/],
  ["ENOSPC", "write", /No room is left/],
  ["EROFS", "open", /can only be read/],
  ["ENOMEM", "mmap", /No memory/],
  ["EAGAIN", "spawn nft", /as many processes/],
])("%s of %s is a shortage, also as the cause of another error", (code, syscall, sentence) => {
  const error = systemError(code, syscall);
  expect(shortageOf(error)?.sentence).toMatch(sentence);
  expect(shortageOf(new SapwoodError("network-setup", "no", { cause: error }))?.code).toBe(code);
});

test.each([
  ["a file that is not there", systemError("ENOENT", "open")],
  ["nothing to read yet", systemError("EAGAIN", "read")],
  ["a refusal of the program's own", new SapwoodError("config-invalid", "no")],
  ["a text", "ENOSPC"],
])("%s is none", (_what, thrown) => {
  expect(shortageOf(thrown)).toBeUndefined();
});
