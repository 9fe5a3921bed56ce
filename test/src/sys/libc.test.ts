// Errno names, native addresses, and the sign convention of the bindings.
import { describe, expect, test } from "vitest";
import { addressOf, EAGAIN, EBADF, EBADFD, errnoName, expectSuccess, read } from "../../../src/sys/libc.ts";

describe("errnoName", () => {
  test.each([
    [EBADF, "EBADF"],
    [-EAGAIN, "EAGAIN"],
    [13, "EACCES"],
    [98, "EADDRINUSE"],
    [EBADFD, "EBADFD"],
    [-4095, "errno 4095"],
  ])("%i is %s", (errno, name) => {
    expect(errnoName(errno)).toBe(name);
  });
});

test("a call that fails returns the negated errno", () => {
  expect(read(-1, 0, 0)).toBe(-EBADF);
});

test("expectSuccess passes results on and makes a sentence of a failure", () => {
  expect(expectSuccess(7, "Doing it")).toBe(7);
  expect(() => expectSuccess(-EBADF, "Doing it (call)", "tun-unavailable")).toThrowError(
    expect.objectContaining({ code: "tun-unavailable", message: "Doing it (call) failed with EBADF." }),
  );
});

test("the native address of a shared memory stays, and grows by the offset", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 64, shared: true });
  const at = addressOf(memory.buffer);
  memory.grow(63);
  expect(at).toBeGreaterThan(0n);
  expect(at % 4096n).toBe(0n);
  expect(addressOf(memory.buffer)).toBe(at);
});
