// The next process's side of a takeover: gets the descriptors, says when it is ready for packets, and goes on with
// them. What the running process says is checked; its descriptors are checked by those who use them.

import { fstatSync, rmdirSync, statSync, unlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf, SapwoodError } from "../../base/errors.ts";
import { Answering, type Asking, TAKEOVER_PROTOCOL, takeoverSocket } from "../../model/takeover-messages.ts";
import { FolderLock } from "../../sys/file-lock.ts";
import { MessageSocket } from "../../sys/message-socket.ts";
import { requireOwnFolder } from "../../sys/own-files.ts";
import { Channel } from "./channel.ts";
import { askRunning } from "./running-proxy.ts";

/** For what takes the running process no time, on a machine that has none to give. */
const ANSWER_MS = 15_000;
/** Closing what it listens at, and in the end everything, may take the running process a while. */
const END_MS = 60_000;
const LOOK_MS = 2;
/** Whoever may open the folder may lock it. */
const LOCK_MODE = 0o700;

type Kind = Answering["kind"];
type Answer<Wanted extends Kind> = Extract<Answering, { readonly kind: Wanted }>;

export interface PassedDevices {
  readonly tun: readonly number[]; // one per queue
  readonly sockets: readonly number[];
}

interface PassedOn extends PassedDevices {
  readonly version: string;
  readonly pid: number;
  readonly generation: number;
  readonly flowsLock: number | undefined;
  readonly stateLock: number | undefined;
}

export class Takeover {
  readonly passedOn: PassedOn;
  readonly #channel: Channel<Asking, Answering>;
  readonly #socket: string;
  /** The running process has ended: all is this one's. */
  #isAlone = false;

  private constructor(socket: string, channel: Channel<Asking, Answering>, passedOn: PassedOn) {
    this.#socket = socket;
    this.#channel = channel;
    this.passedOn = passedOn;
  }

  /** Of the proxy at a control socket. Throws not-running, already-running, missing-rights or takeover-failed. */
  static async begin(socket: string, version: string): Promise<Takeover> {
    const channel = await openChannel(socket);
    try {
      channel.send({ kind: "takeOver", protocol: TAKEOVER_PROTOCOL, version });
      const received = await heard(channel.receiveDescriptors(ANSWER_MS));
      if (received === "closed") throw failed("it ended");
      const { message, descriptors } = received;
      return new Takeover(socket, channel, passedOnOf(expectKind(message, "descriptors"), descriptors));
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  /** The tables in force in the running process, as the text of a document. */
  async tables(): Promise<string> {
    return await askRunning(this.#socket, "GET", "/v1/tables");
  }

  /**
   * Resolves when the running process touches no descriptor any more: with what is in force there; undefined when it
   * ended. Throws takeover-failed.
   */
  async holdRunning(): Promise<Pick<Answer<"held">, "generation" | "passes"> | undefined> {
    this.#channel.send({ kind: "prepared" });
    return await this.#answer("held");
  }

  /** Packets pass: resolves when nobody else answers at the control socket. Throws takeover-failed. */
  async confirm(pauseMs: number, flows: number): Promise<void> {
    this.#channel.send({ kind: "flowing", pauseMs, flows });
    await this.#answer("released");
  }

  /** This process answers everywhere: resolves when the running one has ended. */
  async finish(): Promise<void> {
    this.#channel.send({ kind: "ready" });
    if (!this.#isAlone) await this.#channel.ended(END_MS);
    this.#channel.close();
  }

  /** This process has let go of everything: the running one goes on. */
  fail(reason: string): void {
    this.#channel.send({ kind: "failed", reason });
    this.#channel.close();
  }

  async #answer<Wanted extends Kind>(wanted: Wanted): Promise<Answer<Wanted> | undefined> {
    if (this.#isAlone) return undefined;
    const answer = await receive(this.#channel, wanted);
    if (answer !== "closed") return answer;
    this.#isAlone = true;
    return undefined;
  }
}

/** Asks the running process to call back, and makes sure that it is who answers. */
export async function openChannel(socket: string): Promise<Channel<Asking, Answering>> {
  const path = takeoverSocket(socket);
  const turn = await takeTurn(path);
  let listener: MessageSocket;
  try {
    listener = listenAt(path);
  } catch (error) {
    endTurn(path, turn);
    throw error;
  }
  try {
    await askRunning(socket, "POST", "/v1/takeover");
    const giveUpAtMs = performance.now() + ANSWER_MS;
    for (;;) {
      const accepted = listener.accept();
      if (accepted !== undefined) return new Channel(trusted(accepted), Answering);
      if (performance.now() > giveUpAtMs) throw failed("it did not call back");
      await sleep(LOOK_MS);
    }
  } finally {
    listener.close();
    unlinkSync(path);
    endTurn(path, turn);
  }
}

/**
 * One process at a time listens where the running one calls back: it would call another one than who asked. Waits as long
 * as the one before asks. Throws already-running or missing-rights.
 */
async function takeTurn(path: string): Promise<FolderLock> {
  const giveUpAtMs = performance.now() + ANSWER_MS;
  for (;;) {
    const turn = tryTurn(turnFolder(path));
    if (turn !== undefined) return turn;
    if (performance.now() > giveUpAtMs) {
      throw new SapwoodError("already-running", `Another takeover of this proxy is under way, at ${path}.`);
    }
    await sleep(LOOK_MS);
  }
}

/** Undefined: another process has its turn, or has just ended it and removed the folder. */
function tryTurn(folder: string): FolderLock | undefined {
  try {
    requireOwnFolder(folder, LOCK_MODE);
    const turn = FolderLock.tryTake(folder);
    if (turn === undefined) return undefined;
    if (statSync(folder, { throwIfNoEntry: false })?.ino === fstatSync(turn.descriptor).ino) return turn;
    turn.release();
    return undefined;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new SapwoodError("missing-rights", `${folder} cannot be locked: ${reasonOf(cause)}`, { cause });
  }
}

function endTurn(path: string, turn: FolderLock): void {
  rmdirSync(turnFolder(path));
  turn.release();
}

function turnFolder(path: string): string {
  return `${path}.lock`;
}

/** The answer that says `wanted`. Throws takeover-failed, also when the other process ended. */
export async function expectAnswer<Wanted extends Kind>(
  channel: Channel<Asking, Answering>,
  wanted: Wanted,
  limitMs = ANSWER_MS,
): Promise<Answer<Wanted>> {
  const answer = await receive(channel, wanted, limitMs);
  if (answer === "closed") throw failed("it ended");
  return answer;
}

async function receive<Wanted extends Kind>(channel: Channel<Asking, Answering>, wanted: Wanted, limitMs = ANSWER_MS) {
  const message = await heard(channel.receive(limitMs));
  return message === "closed" ? message : expectKind(message, wanted);
}

/** What the running process said. Throws takeover-failed. */
async function heard<Received>(saying: Promise<Received>): Promise<Received> {
  try {
    return await saying;
  } catch (error) {
    throw failed((error as Error).message);
  }
}

function expectKind<Wanted extends Kind>(message: Answering, wanted: Wanted): Answer<Wanted> {
  if (message.kind === "failed") throw new SapwoodError("takeover-failed", message.reason);
  if (message.kind !== wanted) throw failed(`it said "${message.kind}" instead of "${wanted}"`);
  return message as Answer<Wanted>;
}

function passedOnOf(message: Answer<"descriptors">, descriptors: readonly number[]): PassedOn {
  const { version, pid, generation, queues, locks, protocol } = message;
  const expected = 2 * queues + locks.length;
  if (protocol !== TAKEOVER_PROTOCOL) {
    throw failed(`it speaks version ${protocol} of the takeover, this one ${TAKEOVER_PROTOCOL}: restart the proxy`);
  }
  if (descriptors.length !== expected) throw failed(`it passed on ${descriptors.length} descriptors, not ${expected}`);
  const lock = (name: "flows" | "state"): number | undefined =>
    locks.includes(name) ? descriptors[2 * queues + locks.indexOf(name)] : undefined;
  return {
    ...{ version, pid, generation },
    tun: descriptors.slice(0, queues),
    sockets: descriptors.slice(queues, 2 * queues),
    flowsLock: lock("flows"),
    stateLock: lock("state"),
  };
}

/** A socket that a process left behind is no obstacle. */
function listenAt(path: string): MessageSocket {
  const previous = process.umask(0o177);
  try {
    return MessageSocket.listen(path);
  } catch {
    try {
      unlinkSync(path);
      return MessageSocket.listen(path);
    } catch (cause) {
      const message = `The socket ${path}, at which the running proxy is to call back, cannot be made: ${String(cause)}.`;
      throw new SapwoodError("missing-rights", message, { cause });
    }
  } finally {
    process.umask(previous);
  }
}

function trusted(socket: MessageSocket): MessageSocket {
  const { uid } = socket.peer;
  if (uid === process.geteuid?.()) return socket;
  socket.close();
  throw failed(`user ${uid} answered, which is not this process's user`);
}

function failed(what: string): SapwoodError {
  return new SapwoodError("takeover-failed", `The running proxy cannot be taken over: ${what}.`);
}
