// The slow twin's flows: Maps by key in both directions. Which candidate a policy chose it does not decide but takes as
// input, and checks that it is allowed.
import * as Protocol from "../../../assembly/shared/protocol.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import type { AnswerOptions } from "./answers.ts";
import type { CountName } from "./counts.ts";
import { type FlowLife, isMidStream, isRestart, newLife } from "./flow-state.ts";
import type { TwinNodes } from "./nodes.ts";
import type { TwinOutliers } from "./outliers.ts";
import type { TwinPark } from "./park.ts";
import type { Ends, ParsedPacket } from "./parser.ts";
import type { Situation } from "./situations.ts";
import { has, type TwinCandidate, type TwinInstance, type TwinTables } from "./tables.ts";
import { TwinWirePorts } from "./wire-ports.ts";

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
interface FlowDecisions {
  nextChoice(): Choice | undefined;
}

interface FlowOptions {
  readonly timeoutsMs: Readonly<Record<number, number>>; // by FlowState
  /** Clients of TCP connections whose instance is gone get a reset. */
  readonly resets: boolean;
  readonly lost: AnswerOptions["lost"];
}

export interface TwinFlow {
  readonly key: string;
  readonly reverseKey: string;
  readonly protocol: number;
  readonly client: TwinInstance;
  target: TwinInstance;
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly called: string;
  readonly calledPort: number;
  /** Source and destination on the way to the instance, which may be of the other family. */
  readonly clientInstanceAddress: string;
  readonly targetAddress: string;
  readonly wirePort: number;
  /** Source and destination of the answers as they arrive. */
  readonly answerSource: string;
  readonly answerDestination: string;
  readonly isBalanced: boolean;
  readonly life: FlowLife;
  lastUsedMs: number;
  /** When its opening began, by the attentive clock; undefined: its outcome is known, or does not count. */
  openedMs: number | undefined;
}

export class TwinFlows {
  readonly forward = new Map<string, TwinFlow>();
  readonly reverse = new Map<string, TwinFlow>();
  readonly wirePorts = new TwinWirePorts();

  constructor(
    private readonly tables: TwinTables,
    private readonly nodes: TwinNodes,
    private readonly parked: TwinPark,
    private readonly outliers: TwinOutliers,
    private readonly options: FlowOptions,
    private readonly decisions: FlowDecisions,
    private readonly count: (name: CountName, by: number) => void,
    private readonly meet: (situation: Situation) => void,
  ) {}

  /** Ends what has been idle for too long. */
  sweep(nowMs: number): void {
    for (const flow of [...this.forward.values()]) {
      this.outliers.waits(flow, this.nodes.attentiveMs, nowMs);
      if (nowMs - flow.lastUsedMs < (this.options.timeoutsMs[flow.life.state] as number)) continue;
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
    } else if (before !== undefined && this.isUnknownNow(before, packet.destination)) {
      this.meet("a flow waits for its instance, which is unknown now");
      return DropReason.unknownAddress;
    } else if (before !== undefined && this.isReset(before, packet)) {
      this.end(before);
      return DropReason.instanceGone;
    }
    const flow = this.known(packet, packet);
    if (flow === undefined) return this.open(packet, nowMs);
    if (flow.target.isLocal || this.nodes.isReachable(flow.target.node)) return flow;
    if (flow.isBalanced && !flow.life.seenReply) {
      this.meet("a lost node's flow that was never answered goes elsewhere");
      this.count("flowsRechosen", 1);
      this.end(flow);
      return this.open(packet, nowMs);
    }
    if (this.options.lost === "sent on") return flow;
    this.meet("a flow of a lost node");
    if (this.options.lost === "reset" && isMidStream(packet)) this.end(flow);
    return DropReason.nodeUnreachable;
  }

  /** Whether the packet is part of a flow, whatever becomes of that. */
  isThere(packet: ParsedPacket): boolean {
    return this.forward.has(flowKey(packet, packet));
  }

  /** The flow that goes from one end to the other, if it goes on. */
  known(packet: ParsedPacket, ends: Ends): TwinFlow | undefined {
    const flow = this.forward.get(flowKey(packet, ends));
    if (flow === undefined) return undefined;
    if (this.isUnknownNow(flow, ends.destination)) return undefined;
    if (this.clientLives(flow) && this.targetLives(flow)) return flow;
    if (this.clientLives(flow)) this.count("flowsRechosen", 1);
    this.end(flow);
    return undefined;
  }

  /** The flow that something between these ends answers. */
  answered(packet: ParsedPacket, ends: Ends): TwinFlow | undefined {
    const flow = this.reverse.get(flowKey(packet, ends));
    if (flow !== undefined) this.followName(flow);
    if (flow === undefined || this.clientLives(flow)) return flow;
    // Its client is gone, and the address may be another's by now.
    this.end(flow);
    return undefined;
  }

  /** A packet to an address that does not exist: the flow that needs it ends. */
  deny(packet: ParsedPacket): DropReason {
    const flow = this.forward.get(flowKey(packet, packet));
    if (flow === undefined || this.isWhereItWas(flow)) return DropReason.unknownAddress;
    this.meet("a flow ends, its address does not exist any more");
    this.end(flow);
    return this.options.resets && isMidStream(packet) ? DropReason.instanceGone : DropReason.unknownAddress;
  }

  /** While addresses are asked for, an instance whose address the tables lack may have been dropped for disuse. */
  private isUnknownNow(flow: TwinFlow, called: string): boolean {
    if (!this.parked.mayAsk || !this.clientLives(flow) || this.isWhereItWas(flow)) return false;
    return (
      this.parked.isAwaited(called) || (this.tables.address(called) === undefined && this.cameBack(flow) === undefined)
    );
  }

  /** In the middle of a connection another instance is of no use: the client has to connect anew. */
  private isReset(flow: TwinFlow, packet: ParsedPacket): boolean {
    return this.options.resets && isMidStream(packet) && this.clientLives(flow) && !this.targetLives(flow);
  }

  /** Whether the client is still a workload of this node, with all that the flow uses of it. */
  private clientLives({ client, clientAddress, clientInstanceAddress, answerDestination }: TwinFlow): boolean {
    const now = this.tables.current(client);
    if (now === undefined || !now.isLocal) return false;
    const isInside = has(now.namespace, clientAddress) && has(now.namespace, answerDestination);
    return isInside && has(now.address, clientInstanceAddress);
  }

  /** Whether the instance is still where the flow leads, or came back there. */
  private targetLives(flow: TwinFlow): boolean {
    this.followName(flow);
    if (this.isWhereItWas(flow)) return true;
    const target = this.cameBack(flow);
    if (target === undefined) return false;
    this.meet("a flow goes on with its instance, which came back");
    flow.target = target;
    return true;
  }

  /** A node may have another name than before. */
  private followName(flow: TwinFlow): void {
    const now = this.tables.current(flow.target);
    if (now?.nodeIdentity === flow.target.nodeIdentity) flow.target = now;
  }

  /** The instance that has the addresses of the flow's now; only where it may have been dropped for disuse. */
  private cameBack({ answerSource, targetAddress }: TwinFlow): TwinInstance | undefined {
    const known = this.parked.mayAsk ? this.tables.address(answerSource) : undefined;
    if (known?.kind !== "instance" || !has(known.instance.namespace, targetAddress)) return undefined;
    const { isLocal, node } = known.instance;
    return isLocal || this.tables.endpointOf(node) !== undefined ? known.instance : undefined;
  }

  private isWhereItWas({ target, targetAddress, answerSource }: TwinFlow): boolean {
    const now = this.tables.current(target);
    return (
      now?.nodeIdentity === target.nodeIdentity && has(now.namespace, targetAddress) && has(now.address, answerSource)
    );
  }

  private open(packet: ParsedPacket, nowMs: number): TwinFlow | DropReason {
    const client = this.tables.workload(packet.source);
    if (client === undefined) return DropReason.unknownWorkload;
    if (this.parked.isAwaited(packet.destination)) return DropReason.unknownAddress;
    const target = this.choose(packet, client, nowMs);
    if (typeof target === "number") return target;
    const addresses = addressesOf(familyOf(packet.source), client, target);
    if (typeof addresses === "number") return addresses;
    const { answerSource, answerDestination } = addresses;

    if (!target.isLocal && this.tables.endpointOf(target.node) === undefined) return DropReason.noNode;
    if (!target.isLocal && !this.nodes.isReachable(target.node)) return DropReason.nodeUnreachable;

    const reverseKeyOf = (port: number): string =>
      flowKey(packet, {
        source: answerSource,
        destination: answerDestination,
        sourcePort: packet.destinationPort,
        destinationPort: port,
      });
    let wirePort = packet.sourcePort;
    if (this.reverse.has(reverseKeyOf(wirePort))) {
      // What has no port of its own cannot be told apart by one.
      if (packet.kind !== "transport" && !packet.isRequest) return DropReason.portsExhausted;
      wirePort = this.wirePorts.next((port) => this.reverse.has(reverseKeyOf(port)));
      this.count("portsRewritten", 1);
    }
    const isBalanced = this.tables.address(packet.destination)?.kind === "balanced";
    const flow: TwinFlow = {
      key: flowKey(packet, packet),
      reverseKey: reverseKeyOf(wirePort),
      protocol: keyProtocol(packet),
      client,
      target,
      clientAddress: packet.source,
      clientPort: packet.sourcePort,
      called: packet.destination,
      calledPort: packet.destinationPort,
      ...addresses,
      wirePort,
      isBalanced,
      life: newLife(keyProtocol(packet)),
      lastUsedMs: nowMs,
      openedMs: this.outliers.isJudged(packet, isBalanced) ? Math.max(1, this.nodes.attentiveMs) : undefined,
    };
    this.forward.set(flow.key, flow);
    this.reverse.set(flow.reverseKey, flow);
    this.count("flowsOpened", 1);
    return flow;
  }

  private choose(packet: ParsedPacket, client: TwinInstance, nowMs: number): TwinInstance | DropReason {
    const called = packet.destination;
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
    const isValid = chosen !== undefined && !chosen.isDraining;
    const isReachable = ({ instance }: TwinCandidate): boolean =>
      instance.isLocal || this.nodes.isReachable(instance.node);
    const isFit = (one: TwinCandidate): boolean =>
      isReachable(one) &&
      !this.tables.isUnhealthy(one.instance) &&
      !this.outliers.isAvoided(client, one.instance, packet, nowMs);
    const start = choice.flowHash % candidates.length;
    const eligible = [...candidates.slice(start), ...candidates.slice(0, start)].filter((one) => !one.isDraining);
    const isAnyFit = eligible.some(isFit);
    if (isValid && (isAnyFit ? isFit(chosen) : isReachable(chosen))) {
      if (!isFit(chosen)) this.meet("all instances are unhealthy, and one is used");
      this.count("policyChoices", 1);
      return chosen.instance;
    }
    if (isValid && isReachable(chosen)) this.meet("an unhealthy instance is passed over");
    const isAnyReachable = eligible.some(isReachable);
    const suitable = eligible.filter(isAnyFit ? isFit : isAnyReachable ? isReachable : () => true);
    const isOwnFamily = ({ instance }: TwinCandidate): boolean => instance.namespace[familyOf(called)] !== undefined;
    const fallback = suitable.find(isOwnFamily) ?? suitable[0];
    if (isAnyReachable) this.count(isValid ? "policyOverruled" : "policyFallbacks", 1);
    return fallback?.instance ?? DropReason.noInstance;
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

type Family = "v4" | "v6";

/**
 * A packet goes to its instance in its own family, if the instance has that inside, else in the other one. The answers
 * come in that family, and the client's node delivers them by the same rule as the instance's node would. Both sides
 * show themselves by their instance addresses.
 */
function addressesOf(
  family: Family,
  client: TwinInstance,
  target: TwinInstance,
): Pick<TwinFlow, "clientInstanceAddress" | "targetAddress" | "answerSource" | "answerDestination"> | DropReason {
  const there = target.namespace[family] === undefined ? otherFamily(family) : family;
  const targetAddress = target.namespace[there];
  if (targetAddress === undefined) return DropReason.noInstance;
  const back = client.namespace[there] === undefined ? otherFamily(there) : there;
  const clientInstanceAddress = client.address[there];
  const answerSource = target.address[back];
  const answerDestination = client.namespace[back];
  if (clientInstanceAddress === undefined || answerSource === undefined || answerDestination === undefined) {
    return DropReason.noAddressOfFamily;
  }
  return { clientInstanceAddress, targetAddress, answerSource, answerDestination };
}

function familyOf(address: string): Family {
  return address.length === 4 ? "v4" : "v6";
}

export function otherFamily(family: Family): Family {
  return family === "v4" ? "v6" : "v4";
}

/** The protocol that a flow is known by: echo has one number in both families. */
function keyProtocol({ kind, protocol }: ParsedPacket): number {
  return kind === "echo" ? Protocol.ICMP : protocol;
}

function flowKey(packet: ParsedPacket, { source, destination, sourcePort, destinationPort }: Ends): string {
  return String.fromCharCode(keyProtocol(packet), sourcePort, destinationPort) + source + destination;
}
