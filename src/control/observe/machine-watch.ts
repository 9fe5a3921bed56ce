// What the machine does to the process, and nobody else tells: its clock is set, it is stopped, it runs out of
// descriptors, its log cannot be written, its packets are not taken. Looks once a second, which costs some
// microseconds.

import { CommonInterval } from "../../base/common-interval.ts";
import { reasonOf } from "../../base/errors.ts";
import { descriptorShortage, shortageOf } from "../../base/shortage.ts";
import type { Alarms } from "../../model/alarms.ts";
import type { ErrorReport } from "../../model/reports.ts";

const LOOK_PAUSE_MS = 1000;
/** A look that is so late was kept from by more than a busy machine. */
const PAUSED_MS = 5000;
/** Whoever keeps a clock right moves it by less in a second (adjtimex(2)). */
const JUMP_MS = 1000;
/** What goes on is told once in this time. */
const AGAIN_MS = 60_000;

/** Packets that the kernel did not take, since the start. */
interface UnsentPackets {
  /** There was no room (EAGAIN, ENOBUFS). */
  readonly queueFull: number;
  readonly sendFailed: number;
}

interface MachineWatchOptions {
  readonly alarms: Alarms;
  readonly nowMs: () => number; // monotonic
  readonly wallMs: () => number;
  readonly descriptors: {
    /** Holds some for who asks the proxy. Throws what the system says when there are none. */
    fill(): void;
    /** Whether something can be opened with what was held. */
    giveUp(): boolean;
    /** Ends the connections that wait to be accepted. */
    refuseWaiting(answer: Uint8Array): number;
  };
  readonly lostLogLines: () => number;
  readonly unsent: () => UnsentPackets;
}

export class MachineWatch {
  readonly #options: MachineWatchOptions;
  readonly #interval: CommonInterval;
  #lookedMs: number;
  #aheadMs: number; // the wall clock, of the monotonic one
  #lostLogLines = 0;
  #unsent: UnsentPackets;
  #isShort = false; // of descriptors
  readonly #toldMs = new Map<"log" | "sends", number>();

  constructor(options: MachineWatchOptions) {
    const { nowMs, wallMs, unsent } = options;
    this.#options = options;
    this.#lookedMs = nowMs();
    this.#aheadMs = wallMs() - this.#lookedMs;
    this.#unsent = unsent();
    this.#interval = new CommonInterval(LOOK_PAUSE_MS, () => this.look());
  }

  look(): void {
    this.#lookForPause();
    this.#lookForJump();
    this.#lookForDescriptors();
    this.#lookForLog();
    this.#lookForSends();
  }

  close(): void {
    this.#interval.close();
  }

  #lookForPause(): void {
    const { nowMs, alarms } = this.#options;
    const now = nowMs();
    const lateMs = now - this.#lookedMs - LOOK_PAUSE_MS;
    this.#lookedMs = now;
    if (lateMs < PAUSED_MS) return;
    alarms.tell({
      kind: "process-paused",
      message: `The process did not run for ${seconds(lateMs)}; packets waited meanwhile, or were dropped by the kernel.`,
      advice: "See who stopped it (SIGSTOP, a debugger, a frozen cgroup), or what kept the processors busy.",
    });
  }

  #lookForJump(): void {
    const { nowMs, wallMs, alarms } = this.#options;
    const aheadMs = wallMs() - nowMs();
    const jumpMs = aheadMs - this.#aheadMs;
    this.#aheadMs = aheadMs;
    if (Math.abs(jumpMs) < JUMP_MS) return;
    const [way, size] = jumpMs > 0 ? ["ahead", jumpMs] : ["back", -jumpMs];
    alarms.tell({
      kind: "clock-jumped",
      message: `The machine's clock was set ${way} by ${seconds(size)}, or the machine slept.`,
      advice: "Nothing: only the times in logs and events depend on that clock.",
    });
  }

  #lookForDescriptors(): void {
    const { descriptors, alarms } = this.#options;
    try {
      descriptors.fill();
      if (this.#isShort) alarms.end("descriptors", "The process can open files and sockets again.");
      this.#isShort = false;
    } catch (error) {
      const { sentence, advice } = shortageOf(error) ?? { sentence: `Nothing can be opened: ${reasonOf(error)}` };
      const isAnswering = descriptors.giveUp();
      if (!isAnswering) descriptors.refuseWaiting(refusal(descriptorShortage(error)?.message ?? `${sentence}.`));
      if (this.#isShort) return;
      this.#isShort = true;
      const rest = isAnswering ? "a few are kept for who asks the proxy" : "who asks the proxy is only told so";
      const message = `${sentence}: packets flow, ${rest}, and it cannot look at the node's network.`;
      alarms.tell({ kind: "out-of-descriptors", subject: "descriptors", message, advice });
    }
  }

  #lookForLog(): void {
    const lines = this.#options.lostLogLines();
    if (lines <= this.#lostLogLines || !this.#isDue("log")) return;
    const message = `${lines - this.#lostLogLines} lines of the log could not be written.`;
    this.#lostLogLines = lines;
    const advice = "Make room on the disk that has the log, or see who no longer reads it.";
    this.#options.alarms.tell({ kind: "log-unwritable", message, advice });
  }

  #lookForSends(): void {
    const now = this.#options.unsent();
    const queueFull = now.queueFull - this.#unsent.queueFull;
    const sendFailed = now.sendFailed - this.#unsent.sendFailed;
    if (queueFull + sendFailed <= 0 || !this.#isDue("sends")) return;
    this.#unsent = now;
    const reasons = [
      ...(queueFull > 0 ? [`${queueFull} for which a queue had no room (ENOBUFS)`] : []),
      ...(sendFailed > 0 ? [`${sendFailed} that it refused`] : []),
    ];
    this.#options.alarms.tell({
      kind: "sends-refused",
      message: `The kernel did not take packets for other nodes: ${reasons.join(", and ")}.`,
      advice: 'See whether the underlay is up and fast enough ("ip -s link", "sapwood status").',
    });
  }

  #isDue(what: "log" | "sends"): boolean {
    const now = this.#options.nowMs();
    if (now - (this.#toldMs.get(what) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) return false;
    this.#toldMs.set(what, now);
    return true;
  }
}

/** In the form of all errors of the control socket (docs/control-api.md), for whoever speaks HTTP. */
function refusal(message: string): Uint8Array {
  const body = JSON.stringify({ error: { code: "out-of-descriptors", message, details: [] } } satisfies ErrorReport);
  const head = `HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`;
  return Buffer.from(`${head}\r\nconnection: close\r\n\r\n${body}`);
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
