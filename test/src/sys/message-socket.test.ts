// Messages with descriptors between two sockets of this process, as they pass between two processes.
import { closeSync, fstatSync, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { FolderLock } from "../../../src/sys/file-lock.ts";
import { MessageSocket } from "../../../src/sys/message-socket.ts";

const folder = mkdtempSync(join(tmpdir(), "sapwood-messages-"));
afterAll(() => rmSync(folder, { recursive: true }));
let pairs = 0;

function pair(): { readonly listener: MessageSocket; readonly near: MessageSocket; readonly far: MessageSocket } {
  const path = join(folder, `${++pairs}.sock`);
  const listener = MessageSocket.listen(path);
  expect(listener.accept()).toBeUndefined();
  const near = MessageSocket.connect(path);
  const far = listener.accept();
  if (far === undefined) throw new Error("nobody connected");
  return { listener, near, far };
}

describe("a message between two processes", () => {
  test("comes whole, in order, and from whom the kernel says", () => {
    const { near, far, listener } = pair();
    expect(near.peer).toEqual({ pid: process.pid, uid: process.geteuid?.() });
    expect(far.peer).toEqual(near.peer);
    near.send(Buffer.from("first"));
    near.send(Buffer.from("second"));
    expect([far.receive(), far.receive()]).toMatchObject([
      { bytes: new Uint8Array(Buffer.from("first")), descriptors: [] },
      { bytes: new Uint8Array(Buffer.from("second")), descriptors: [] },
    ]);
    expect(far.receive()).toBeUndefined();
    near.close();
    expect(far.receive()).toBe("closed");
    expect(() => far.send(Buffer.from("x"))).toThrow("EPIPE");
    for (const one of [far, listener]) one.close();
  });

  test("of no bytes is no end", () => {
    const { near, far, listener } = pair();
    near.send(new Uint8Array());
    near.send(Buffer.from("more"));
    expect(far.receive()).toMatchObject({ bytes: new Uint8Array() });
    expect(far.receive()).toMatchObject({ bytes: new Uint8Array(Buffer.from("more")) });
    expect(far.receive()).toBeUndefined();
    near.close();
    expect(far.receive()).toBe("closed");
    for (const one of [far, listener]) one.close();
  });

  test("takes descriptors along, which are the same files under other numbers", () => {
    const { near, far, listener } = pair();
    const file = openSync(folder, "r");
    near.send(Buffer.from("two"), [file, file]);
    const message = far.receive();
    if (message === undefined || message === "closed") throw new Error("nothing came");
    expect(message.descriptors).toHaveLength(2);
    for (const one of message.descriptors) {
      expect(one).not.toBe(file);
      expect(fstatSync(one).ino).toBe(fstatSync(file).ino);
      closeSync(one);
    }
    closeSync(file);
    for (const one of [near, far, listener]) one.close();
  });

  test("that is too long is refused, and its descriptors are closed", () => {
    const { near, far, listener } = pair();
    const file = openSync(folder, "r");
    const before = readdirSync("/proc/self/fd").length;
    near.send(Buffer.alloc(70_000), [file]);
    expect(() => far.receive()).toThrow("at most 65536 bytes");
    expect(readdirSync("/proc/self/fd")).toHaveLength(before);
    closeSync(file);
    for (const one of [near, far, listener]) one.close();
  });

  test("to nobody fails with what was tried", () => {
    expect(() => MessageSocket.connect(join(folder, "none"))).toThrow(/Connecting to .*none failed with ENOENT/);
  });
});

test("a lock that is passed on is held until both have let it go", () => {
  const { near, far, listener } = pair();
  const lock = FolderLock.tryTake(folder);
  if (lock === undefined) throw new Error("the folder is locked");
  near.send(Buffer.from("lock"), [lock.descriptor]);
  const message = far.receive();
  if (message === undefined || message === "closed") throw new Error("nothing came");
  const passed = FolderLock.adopt(folder, message.descriptors[0] ?? -1);
  lock.release();
  expect(FolderLock.tryTake(folder)).toBeUndefined();
  passed.release();
  const next = FolderLock.tryTake(folder);
  expect(next).toBeDefined();
  next?.release();
  expect(() => FolderLock.adopt(folder, openSync(tmpdir(), "r"))).toThrow("what it passed on is none");
  for (const one of [near, far, listener]) one.close();
});
