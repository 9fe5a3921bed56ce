// Starts another Node.js without a copy of this process's page tables. Node starts processes by fork(2), which makes that
// copy: where a proxy has gigabytes of memory, the thread that answers the control socket stands still for a tenth of a
// second. posix_spawn(3) shares the memory until the other program runs.

import { once } from "node:events";
import { Socket } from "node:net";
import { deserialize, serialize } from "node:v8";
import { FrameReader, LENGTH_BYTES } from "../base/frame-reader.ts";
import * as libc from "./libc.ts";

const AF_UNIX = 1;

/** A value as a message: its length, and what v8.serialize() makes of it. */
export function messageOf(value: unknown): Buffer {
  const content = serialize(value);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(content.length);
  return Buffer.concat([length, content]);
}

/** The next message; undefined at the end. `read` fills a buffer, or says that there is nothing more. */
export function readMessage(read: (into: Uint8Array) => boolean): unknown {
  const length = Buffer.alloc(LENGTH_BYTES);
  if (!read(length)) return undefined;
  const content = Buffer.alloc(length.readUInt32LE());
  return read(content) ? deserialize(content) : undefined;
}

export class LeanProcess {
  readonly input: Socket;
  readonly output: Socket;
  /** Resolves when all of its output was read and it is gone. */
  readonly ended: Promise<void>;
  readonly #messages: Socket;
  readonly #pid: number;
  #isGone = false;

  /** `descriptors` are those of its standard input and output and of its messages, at 3. */
  private constructor(pid: number, [input, output, messages]: readonly Socket[], onMessage: (value: unknown) => void) {
    this.#pid = pid;
    this.input = input as Socket;
    this.output = output as Socket;
    this.#messages = messages as Socket;
    const frames = new FrameReader((frame) => onMessage(deserialize(frame.subarray(LENGTH_BYTES))));
    this.#messages.on("data", (part: Buffer) => frames.take(part));
    this.ended = this.#end();
  }

  /** Throws an error with the code of the kernel's, as Node does. */
  static start(argv: readonly string[], onMessage: (value: unknown) => void): LeanProcess {
    const ours: Socket[] = [];
    const theirs: number[] = [];
    const none = libc.open("/dev/null", libc.O_RDWR | libc.O_CLOEXEC);
    try {
      if (none < 0) throw spawnError(none);
      for (let i = 0; i < 3; i++) {
        const ends = new Uint32Array(2);
        const made = libc.socketpair(AF_UNIX, libc.SOCK_STREAM | libc.O_CLOEXEC, 0, ends);
        if (made < 0) throw spawnError(made);
        theirs.push(ends[1] as number);
        ours.push(new Socket({ fd: ends[0] as number, allowHalfOpen: true }));
      }
      const [input = 0, output = 0, messages = 0] = theirs;
      const pid = libc.posixSpawn(process.execPath, [process.execPath, ...argv], [input, output, none, messages]);
      if (pid < 0) throw spawnError(pid);
      return new LeanProcess(pid, ours, onMessage);
    } catch (error) {
      for (const socket of ours) socket.destroy();
      throw error;
    } finally {
      for (const fd of [none, ...theirs]) if (fd >= 0) libc.close(fd);
    }
  }

  send(value: unknown): void {
    this.#messages.write(messageOf(value));
  }

  kill(): void {
    if (!this.#isGone) process.kill(this.#pid, "SIGKILL");
  }

  async #end(): Promise<void> {
    for (const socket of [this.input, this.output, this.#messages]) socket.on("error", () => undefined); // it died
    await Promise.all([this.output, this.#messages].map((socket) => once(socket, "end").catch(() => undefined)));
    this.kill();
    this.#isGone = true; // its number is free for another process before the next line returns
    await libc.waitForChild(this.#pid);
    for (const socket of [this.input, this.output, this.#messages]) socket.destroy();
  }
}

function spawnError(negated: number): NodeJS.ErrnoException {
  const code = libc.errnoName(negated);
  return Object.assign(new Error(`spawn ${process.execPath} ${code}`), { code, syscall: "spawn" });
}
