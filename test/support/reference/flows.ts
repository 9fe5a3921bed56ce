// The slow twin's flows: Maps by key in both directions. Two things it does not decide but takes as input: which
// candidate a policy chose, and which free port the engine took when the client's own was taken on the wire. It checks
// that both are allowed.
import { IPPROTO_ICMP } from "../../../assembly/shared/protocols.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import type { CountName } from "./counts.ts";
import { type FlowLife, isRestart, newLife } from "./flow-state.ts";
import type { Ends, ParsedPacket } from "./parser.ts";
import type { TwinInstance, TwinTables } from "./tables.ts";

/** One call of the engine's import `policy.choose`. */
export interface Choice {
  /** What the policy answered. */
  readonly index: number;
  readonly flowHash: number;
  readonly clientHash: number;
  /** Instance numbers of the service record's candidates, in their order, and which of them drain. */
  readonly candidates: readonly number[];
  readonly draining: readonly boolean[];
}

/** The inputs that are the engine's or the policy's to decide. */
export interface FlowDecisions {
  nextChoice(): Choice | undefined;
  /** Source port that the engine gave the packet in hand, which goes to the instance. */
  wirePort(target: TwinInstance): number | undefined;
}

export interface TwinFlow {
  readonly key: string;
  readonly reverseKey: string;
  readonly protocol: number;
  readonly client: TwinInstance;
  readonly target: TwinInstance;
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly clientInstanceAddress: string;
  readonly called: string;
  readonly calledPort: number;
  readonly targetAddress: string;
  readonly wirePort: number;
  readonly life: FlowLife;
  lastUsedMs: number;
}

const PORT_LOWEST = 1024;

export class TwinFlows {
  readonly forward = new Map<string, TwinFlow>();
  readonly reverse = new Map<string, TwinFlow>();

  constructor(
    private readonly tables: TwinTables,
    private readonly timeoutsMs: Readonly<Record<number, number>>,
    private readonly decisions: FlowDecisions,
    private readonly count: (name: CountName, by: number) => void,
  ) {}

  /** Ends what has been idle for too long. */
  sweep(nowMs: number): void {
    for (const flow of [...this.forward.values()]) {
      if (nowMs - flow.lastUsedMs < (this.timeoutsMs[flow.life.state] as number)) continue;
      this.end(flow);
      this.count("flowsExpired", 1);
    }
  }

  /** The flow of an outgoing packet, known or new, or why there is none. */
  of(packet: ParsedPacket, nowMs: number): TwinFlow | DropReason {
    const before = this.forward.get(flowKey(packet, packet));
    if (before !== undefined && isRestart(before.life, packet.flags)) {
      this.count("flowsRestarted", 1);
      this.end(before);
    }
    return this.known(packet, packet) ?? this.open(packet, nowMs);
  }

  /** The flow that goes from one end to the other, if it goes on. */
  known(packet: ParsedPacket, ends: Ends): TwinFlow | undefined {
    const flow = this.forward.get(flowKey(packet, ends));
    if (flow === undefined || (this.tables.isAlive(flow.client) && this.tables.isAlive(flow.target))) return flow;
    if (this.tables.isAlive(flow.client)) this.count("flowsRechosen", 1);
    this.end(flow);
    return undefined;
  }

  /** The flow that something between these ends answers. */
  answered(packet: ParsedPacket, ends: Ends): TwinFlow | undefined {
    const flow = this.reverse.get(flowKey(packet, ends));
    if (flow === undefined || this.tables.isAlive(flow.client)) return flow;
    // Its client is gone, and the address may be another's by now.
    this.end(flow);
    return undefined;
  }

  private open(packet: ParsedPacket, nowMs: number): TwinFlow | DropReason {
    const family = packet.version === 4 ? "v4" : "v6";
    const client = this.tables.workload(packet.source);
    if (client === undefined) return DropReason.unknownWorkload;
    const target = this.choose(packet.destination);
    if (typeof target === "number") return target;
    const clientInstanceAddress = client.address[family];
    if (clientInstanceAddress === undefined) return DropReason.noAddressOfFamily;

    const targetAddress = target.namespace[family];
    const targetInstanceAddress = target.address[family];
    if (targetAddress === undefined || targetInstanceAddress === undefined) {
      throw new Error("the twin does not translate between the families yet");
    }

    if (!target.isLocal && this.tables.endpointOf(target.node) === undefined) return DropReason.noNode;

    const reverseKeyOf = (port: number): string =>
      flowKey(packet, {
        source: targetInstanceAddress,
        destination: packet.source,
        sourcePort: packet.destinationPort,
        destinationPort: port,
      });
    let wirePort = packet.sourcePort;
    if (this.reverse.has(reverseKeyOf(wirePort))) {
      // What has no port of its own cannot be told apart by one.
      if (packet.kind !== "transport" && !packet.isRequest) return DropReason.portsExhausted;
      wirePort = this.decisions.wirePort(target) ?? Number.NaN;
      if (!(wirePort >= PORT_LOWEST && wirePort <= 65535)) throw new Error(`wire port ${wirePort} is out of range`);
      if (this.reverse.has(reverseKeyOf(wirePort))) throw new Error(`wire port ${wirePort} belongs to another flow`);
      this.count("portsRewritten", 1);
    }
    const flow: TwinFlow = {
      key: flowKey(packet, packet),
      reverseKey: reverseKeyOf(wirePort),
      protocol: keyProtocol(packet),
      client,
      target,
      clientAddress: packet.source,
      clientPort: packet.sourcePort,
      clientInstanceAddress,
      called: packet.destination,
      calledPort: packet.destinationPort,
      targetAddress,
      wirePort,
      life: newLife(keyProtocol(packet)),
      lastUsedMs: nowMs,
    };
    this.forward.set(flow.key, flow);
    this.reverse.set(flow.reverseKey, flow);
    this.count("flowsOpened", 1);
    return flow;
  }

  private choose(called: string): TwinInstance | DropReason {
    const address = this.tables.address(called);
    if (address === undefined) return DropReason.unknownAddress;
    if (address.kind === "instance") return address.instance;
    if (address.candidates.length === 0) return DropReason.noInstance;

    const choice = this.decisions.nextChoice();
    if (choice === undefined) throw new Error("the engine did not ask a policy for this flow");
    const candidates = choice.candidates.map((number, i) => {
      const candidate = address.candidates.find((one) => one.instance.number === number);
      if (candidate === undefined || candidate.isDraining !== choice.draining[i]) {
        throw new Error(`candidate ${number} is not, or not so, in the tables`);
      }
      return candidate;
    });
    if (candidates.length !== address.candidates.length) throw new Error("the policy saw another set of candidates");

    const chosen = candidates[choice.index];
    if (chosen !== undefined && !chosen.isDraining) {
      this.count("policyChoices", 1);
      return chosen.instance;
    }
    const start = choice.flowHash % candidates.length;
    const fallback = [...candidates.slice(start), ...candidates.slice(0, start)].find((one) => !one.isDraining);
    if (fallback === undefined) return DropReason.noInstance;
    this.count("policyFallbacks", 1);
    return fallback.instance;
  }

  clear(): void {
    this.forward.clear();
    this.reverse.clear();
  }

  private end(flow: TwinFlow): void {
    this.forward.delete(flow.key);
    this.reverse.delete(flow.reverseKey);
  }
}

/** The protocol that a flow is known by: echo has one number in both families. */
function keyProtocol({ kind, protocol }: ParsedPacket): number {
  return kind === "echo" ? IPPROTO_ICMP : protocol;
}

function flowKey(packet: ParsedPacket, { source, destination, sourcePort, destinationPort }: Ends): string {
  return String.fromCharCode(keyProtocol(packet), sourcePort, destinationPort) + source + destination;
}
