// What the openings of flows met, by the slow twin: which instances new flows avoid, by the rules of docs/reliability.md.
// Whoever failed several times in a row is written down as what happened, and looked at when somebody asks.
import { FlowState } from "../../../assembly/shared/layout/flow.ts";
import * as Protocol from "../../../assembly/shared/protocol.ts";
import { FLAG } from "../packet-builder.ts";
import type { TwinFlow } from "./flows.ts";
import type { Ledger } from "./ledger.ts";
import type { ParsedPacket } from "./parser.ts";
import type { TwinInstance, TwinTables } from "./tables.ts";

export interface OutlierOptions {
  readonly failures: number;
  readonly pauseMs: number;
  readonly unansweredMs: number;
}

/** The openings of one client, or of all, since their last success. */
interface Run {
  failures: number;
  readonly clients: Set<number>;
  lastMs: number;
}

const FORGET_MS = 60_000;
const CLIENTS_MIN = 3;
const EVERYBODY = -1;

export class TwinOutliers {
  private readonly runs = new Map<string, Run>();

  constructor(
    private readonly options: OutlierOptions | undefined,
    private readonly tables: TwinTables,
    private readonly ledger: Ledger,
  ) {}

  /** Whether the outcome of an opening by this packet counts. */
  isJudged(packet: ParsedPacket, isBalanced: boolean): boolean {
    if (this.options === undefined || !isBalanced || packet.kind !== "transport") return false;
    if (packet.protocol === Protocol.UDP) return true;
    const begins = (packet.flags & (FLAG.SYN | FLAG.ACK | FLAG.RST | FLAG.FIN)) === FLAG.SYN;
    return packet.protocol === Protocol.TCP && begins;
  }

  isAvoided(client: TwinInstance, target: TwinInstance, { protocol, destinationPort }: ParsedPacket, nowMs: number) {
    if (this.options === undefined || this.tables.isChecked(target)) return false;
    const own = this.isOut(client.identity, target, protocol, destinationPort, nowMs);
    if (own) this.ledger.meet("an instance is avoided by its client");
    const all = this.isOut(EVERYBODY, target, protocol, destinationPort, nowMs);
    if (all && !own) this.ledger.meet("an instance is avoided by everybody");
    return own || all;
  }

  /** An answer came, before it was taken into account. */
  answered(flow: TwinFlow, packet: ParsedPacket, nowMs: number): void {
    if (this.options === undefined || !flow.isBalanced || !this.isThere(flow)) return;
    if (packet.protocol === Protocol.UDP && flow.life.state === FlowState.udpUnreplied) this.succeed(flow);
    if (packet.protocol !== Protocol.TCP || flow.life.state !== FlowState.tcpOpening) return;
    const kind = packet.flags & (FLAG.SYN | FLAG.ACK | FLAG.RST);
    if (kind === (FLAG.SYN | FLAG.ACK)) this.succeed(flow);
    const isOfSyn = flow.life.client.takes === undefined;
    if (kind === (FLAG.RST | FLAG.ACK) && isOfSyn) this.fail(flow, "refused", nowMs);
  }

  /** An ICMP error came about a packet of the flow. */
  erred(flow: TwinFlow, error: Uint8Array, { version, headerLength }: ParsedPacket, nowMs: number): void {
    const [type = 0, code = 0] = error.subarray(headerLength);
    const isUnreachable =
      version === 4
        ? type === 3 && [0, 1, 2, 3, 9, 10, 13].includes(code)
        : type === 1 && [0, 1, 3, 4, 6].includes(code);
    if (isUnreachable) this.fail(flow, "refused", nowMs);
  }

  /** A flow is looked at. */
  waits(flow: TwinFlow, attentiveMs: number, nowMs: number): void {
    const { life, openedMs } = flow;
    if (this.options === undefined || openedMs === undefined) return;
    if (life.state !== FlowState.tcpOpening || life.seenReply) return;
    if (attentiveMs - openedMs >= this.options.unansweredMs) this.fail(flow, "unanswered", nowMs);
  }

  private fail(flow: TwinFlow, cause: "refused" | "unanswered", nowMs: number): void {
    if (flow.openedMs === undefined || !this.isThere(flow)) return;
    flow.openedMs = undefined;
    this.ledger.count(cause === "refused" ? "openingsRefused" : "openingsUnanswered", 1);
    this.add(flow.client.identity, flow, nowMs);
    const isAllOut = this.isOut(EVERYBODY, flow.target, flow.protocol, flow.calledPort, nowMs);
    if (cause === "unanswered" || isAllOut) return;
    this.add(EVERYBODY, flow, nowMs);
  }

  private succeed(flow: TwinFlow): void {
    flow.openedMs = undefined;
    for (const client of [flow.client.identity, EVERYBODY]) {
      const key = keyOf(client, flow.target, flow.protocol, flow.calledPort);
      if ((this.runs.get(key)?.failures ?? 0) > 0) this.ledger.meet("an opening succeeds where others failed");
      this.runs.delete(key);
    }
  }

  /** Whether both ends are still in the tables: what others get that come in their place is their own. */
  private isThere({ client, target }: TwinFlow): boolean {
    return this.tables.current(client) !== undefined && this.tables.current(target) !== undefined;
  }

  private add(client: number, flow: TwinFlow, nowMs: number): void {
    const key = keyOf(client, flow.target, flow.protocol, flow.calledPort);
    let run = this.runs.get(key);
    // What is out for everybody comes back with nothing held against it; a client tries it once.
    const isOver = run !== undefined && client === EVERYBODY && this.suffices(client, run);
    if (run === undefined || isOver || nowMs - run.lastMs >= this.pauseMs + FORGET_MS) {
      run = { failures: 0, clients: new Set(), lastMs: nowMs };
      this.runs.set(key, run);
    }
    run.failures += 1;
    run.clients.add(flow.client.identity);
    run.lastMs = nowMs;
  }

  private isOut(client: number, target: TwinInstance, protocol: number, port: number, nowMs: number): boolean {
    const run = this.runs.get(keyOf(client, target, protocol, port));
    return run !== undefined && this.suffices(client, run) && nowMs - run.lastMs < this.pauseMs;
  }

  private suffices(client: number, { failures, clients }: Run): boolean {
    const needed = this.options?.failures ?? Number.POSITIVE_INFINITY;
    return failures >= needed && (client !== EVERYBODY || clients.size >= CLIENTS_MIN);
  }

  private get pauseMs(): number {
    return this.options?.pauseMs ?? 0;
  }
}

function keyOf(client: number, target: TwinInstance, protocol: number, port: number): string {
  return `${client} ${target.identity} ${protocol} ${port}`;
}
