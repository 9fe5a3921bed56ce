// The running process's side of a takeover: passes its descriptors on, holds its workers, and ends when the next
// process says that it answers everywhere. Until then it keeps all that it has, and goes on when the next one fails,
// ends or is silent for too long. Before it goes on, it makes sure that nobody else reads from its descriptors.

import { reasonOf, SapwoodError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { ChangeGate } from "../../control/api/change-gate.ts";
import type { NewEvent } from "../../model/alarms.ts";
import { type Answering, Asking, TAKEOVER_PROTOCOL, takeoverSocket } from "../../model/takeover-messages.ts";
import { MessageSocket } from "../../sys/message-socket.ts";
import { OtherProcess } from "../../sys/other-process.ts";
import { ServiceManager } from "../../sys/service-manager.ts";
import { Channel } from "./channel.ts";
import { type Successor, startSuccessor } from "./successor.ts";

/** What is passed on, and how it is let go of and taken up again. */
interface HandOverParts {
  readonly tun: readonly number[];
  readonly sockets: readonly number[];
  readonly flowsLock: number | undefined;
  stateLock(): number | undefined;
  /** Why this process cannot be taken over from, as a sentence; undefined: it can. */
  refusal(): string | undefined;
  generation(): number;
  /** Packets that were passed on since the start. */
  packetsPassed(): number;
  flows(): number;
  readonly changes: Pick<ChangeGate, "close" | "open">;
  /** Changes nothing of the node's network any more. */
  leaveNetwork(): Promise<void>;
  resumeNetwork(): void;
  holdWorkers(): Promise<unknown>;
  releaseWorkers(): void;
  /** What this process listens at. */
  closeListeners(): Promise<void>;
  openListeners(): Promise<void>;
  /** Removes what a process left that did not come to take over. */
  clear(): void;
}

interface HandOverOptions {
  readonly socket: string;
  readonly version: string;
  readonly log: Logger;
  readonly tell: (event: NewEvent) => void;
  readonly parts: HandOverParts;
}

type Undo = () => void | Promise<void>;
type NextChannel = Channel<Answering, Asking>;

/** To say what it wants. */
const ASK_MS = 10_000;
/** To start, read its files and try its modules, with a million instances and on a busy machine. */
const PREPARE_MS = 180_000;
/** Until packets flow, which wait meanwhile; and for each flow of which there may be a million. */
const FLOW_MS = 5000;
const FLOW_MS_PER_FLOW = 0.02;
/** To answer everywhere. */
const READY_MS = 30_000;
/** A process that is killed goes on to have its files for a moment. */
const DEATH_MS = 10_000;
const ENDING = "The running proxy is being stopped.";

/** The next process failed, and has let go of all that was passed on. */
class LetGo extends Error {}

export class HandOver {
  /** Resolves with a sentence when another process has taken over; otherwise it stays pending. */
  readonly completed: Promise<string>;
  readonly #options: HandOverOptions;
  #complete: (sentence: string) => void = () => undefined;
  #underWay: Promise<unknown> | undefined;
  #next: NextChannel | undefined;
  /** Who asked for a start of the next process, and that process. */
  #start: { readonly asker: NextChannel; readonly successor: Successor } | undefined;
  #isEnding = false;

  constructor(options: HandOverOptions) {
    this.#options = options;
    this.completed = new Promise((resolve) => {
      this.#complete = resolve;
    });
  }

  /** Calls back whoever waits beside the control socket. Throws takeover-failed, missing-rights or already-running. */
  begin(): void {
    const { socket, parts } = this.#options;
    const refusal = this.#isEnding ? ENDING : parts.refusal();
    if (refusal !== undefined) throw new SapwoodError("takeover-failed", refusal);
    if (this.#next !== undefined) throw new SapwoodError("already-running", "Another takeover is under way.");
    const path = takeoverSocket(socket);
    let called: MessageSocket;
    try {
      called = MessageSocket.connect(path);
    } catch (error) {
      throw new SapwoodError("takeover-failed", `Nobody waits at ${path} to take over: ${reasonOf(error)}`);
    }
    const { pid, uid } = called.peer;
    if (uid !== process.geteuid?.()) {
      called.close();
      const sentence = `Who takes over must be of the proxy's user, ${process.geteuid?.()}; found user ${uid} at ${path}.`;
      throw new SapwoodError("missing-rights", sentence);
    }
    const channel: NextChannel = new Channel(called, Asking);
    this.#serve(channel, pid).catch((error: unknown) => {
      this.#options.log.error({ err: error }, "a takeover met an unexpected error");
      channel.close();
    });
  }

  /** This process ends: one that is about to take over is told so, and ended. */
  async close(): Promise<void> {
    this.#isEnding = true;
    this.#start?.successor.end();
    this.#next?.send({ kind: "failed", reason: ENDING });
    this.#next?.close();
    await this.#underWay;
    this.#tellAsker({ kind: "failed", reason: ENDING });
  }

  async #serve(channel: NextChannel, pid: number): Promise<void> {
    const asked = await channel.receive(ASK_MS).catch(() => "closed" as const);
    if (asked === "closed") return channel.close();
    if (asked.kind === "start") return this.#startNext(channel, asked);
    if (asked.kind !== "takeOver" || asked.protocol !== TAKEOVER_PROTOCOL) {
      const reason = `The running proxy speaks version ${TAKEOVER_PROTOCOL} of the takeover: restart it.`;
      channel.send({ kind: "failed", reason });
      return channel.close();
    }
    if (this.#next !== undefined) {
      channel.send({ kind: "failed", reason: "Another takeover is under way." });
      return channel.close();
    }
    this.#next = channel;
    const other = OtherProcess.of(pid);
    this.#underWay = this.#handOver(channel, asked.version, other).finally(() => {
      other.close();
      this.#next = undefined;
    });
    await this.#underWay;
  }

  /** The process that asked is the command: it is told what came of it. */
  #startNext(asker: NextChannel, { node, program }: Extract<Asking, { kind: "start" }>): void {
    const { socket, log } = this.#options;
    if (this.#start !== undefined || this.#next !== undefined) {
      asker.send({ kind: "failed", reason: "Another takeover is under way." });
      return asker.close();
    }
    log.info({ node, program }, "the next process is started");
    const successor = startSuccessor({ node, program, socket }, (reason) => {
      // It ended without a word: a conversation that has begun finds out by itself.
      if (this.#next === undefined) this.#tellAsker({ kind: "failed", reason });
    });
    this.#start = { asker, successor };
  }

  #tellAsker(outcome: Answering): void {
    this.#start?.asker.send(outcome);
    this.#start?.asker.close();
    this.#start = undefined;
  }

  async #handOver(channel: NextChannel, version: string, other: OtherProcess): Promise<void> {
    const { log, tell, parts } = this.#options;
    log.info({ pid: other.pid, version }, "another process is about to take over");
    const undo: Undo[] = [];
    try {
      const { pauseMs, flows } = await this.#lead(channel, undo);
      const sentence = `Process ${other.pid}, version ${version}, has taken over ${flows} flows; packets waited ${Math.round(pauseMs)} ms.`;
      log.info(sentence);
      new ServiceManager(process.env).succeededBy(other.pid);
      this.#tellAsker({ kind: "done", from: this.#options.version, to: version, pid: other.pid, pauseMs, flows });
      this.#complete(sentence);
    } catch (error) {
      const reason = this.#isEnding ? ENDING : reasonOf(error);
      channel.send({ kind: "failed", reason });
      // As long as it is there it may read from the same descriptors, unless it says itself that it has let go of them.
      const hasLetGo = error instanceof LetGo || this.#isEnding;
      if (!hasLetGo) other.kill();
      const hasEnded = hasLetGo || (await channel.ended(DEATH_MS));
      if (!hasEnded) log.error({ pid: other.pid }, "the process that was to take over does not end");
      for (const step of undo) await step();
      if (hasLetGo && !this.#isEnding && !(await channel.ended(DEATH_MS))) other.kill();
      parts.clear();
      channel.close();
      const message = `Process ${other.pid}, version ${version}, did not take over, and this one goes on: ${reason}`;
      log.error(message);
      const advice = "The log of the next process says more; the running one serves all connections as before.";
      tell({ kind: "takeover-failed", message, advice });
      this.#tellAsker({ kind: "failed", reason: message });
    }
  }

  /** Step by step; what a failure has to undo is added to `undo`. */
  async #lead(channel: NextChannel, undo: Undo[]) {
    const { parts, version } = this.#options;
    undo.push(() => parts.resumeNetwork());
    await parts.leaveNetwork();
    undo.push(() => parts.changes.open());
    await parts.changes.close("modules"); // the next process reads them from now on
    const passedBefore = parts.packetsPassed();
    const locks = [
      { name: "flows" as const, fd: parts.flowsLock },
      { name: "state" as const, fd: parts.stateLock() },
    ].filter((lock): lock is { name: "flows" | "state"; fd: number } => lock.fd !== undefined);
    channel.send(
      {
        kind: "descriptors",
        protocol: TAKEOVER_PROTOCOL,
        version,
        pid: process.pid,
        generation: parts.generation(),
        queues: parts.tun.length,
        locks: locks.map(({ name }) => name),
      },
      [...parts.tun, ...parts.sockets, ...locks.map(({ fd }) => fd)],
    );
    await this.#hear(channel, "prepared", PREPARE_MS);
    await parts.changes.close("tables"); // which takes workers that run
    undo.push(() => parts.releaseWorkers());
    await parts.holdWorkers();
    const passes = parts.packetsPassed() > passedBefore;
    channel.send({ kind: "held", generation: parts.generation(), passes });
    const flowing = await this.#hear(channel, "flowing", FLOW_MS + FLOW_MS_PER_FLOW * parts.flows());
    undo.push(() => parts.openListeners());
    await parts.closeListeners();
    channel.send({ kind: "released" });
    await this.#hear(channel, "ready", READY_MS);
    return flowing;
  }

  async #hear<Kind extends Asking["kind"]>(channel: NextChannel, kind: Kind, limitMs: number) {
    const heard = await channel.receive(limitMs).catch((error: unknown) => {
      throw new Error(`${reasonOf(error)}, when it was to say "${kind}".`);
    });
    if (heard === "closed") throw new Error(`it ended before it said "${kind}".`);
    if (heard.kind === "failed") throw new LetGo(heard.reason);
    if (heard.kind !== kind) throw new Error(`it said "${heard.kind}" instead of "${kind}".`);
    return heard as Extract<Asking, { readonly kind: Kind }>;
  }
}
