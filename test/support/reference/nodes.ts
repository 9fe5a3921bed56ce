// What the slow twin knows of the way to each node: whether it answers probes, and how large a packet may be that goes
// there in one piece.
import * as ProbeLayout from "../../../assembly/shared/layout/probe.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import type { Ledger } from "./ledger.ts";
import { TwinPathSize } from "./path-size.ts";
import { endpointText, STRANGER, type TwinTables } from "./tables.ts";

/** Time that passes between two looks at the nodes counts for no more than this. */
const ATTENTION_MS = 600;
/** A node is silent when so many probes in a row, and the first of them for so long, are unanswered. */
const UNANSWERED = 3;
const SILENCE_MS = 3000;
/** Of one that is said to refuse datagrams. */
const DOUBT_MS = 250;
/** An unanswered probe is followed by another one then, and eight of them by no more than one in this time. */
const RETRY_MS = 1000;
const EAGER_MAX = 8;
/** A time that we cannot account for is no part of a round trip. */
const PAUSE_MS = 500;
/** Probes that are remembered, and of those of sizes. */
const REMEMBERED = 16;
const SIZES_REMEMBERED = 7;
const RTT_SAMPLES = 4;
/** RFC 8200 section 5, RFC 2473 section 7.1: carried in any case, if need be in fragments of the outer datagram. */
export const CARRIED_ALWAYS = 1280;
const UDP_PAYLOAD_MAX = 65_507;
const EMSGSIZE = 90;
/** Where the answer to a probe says what its sender is able to. */
const ABILITIES = 16;
/** Which page a request asks for, or the revision of what an answer tells. */
const PAGE = 20;
/** A probe with a health page, or that asks for one. */
const PAGE_PROBE = 496;

interface Probe {
  readonly number: number; // of one of a size: 0
  readonly size: number;
  readonly id: string; // node word and nonce
  readonly sentMs: number; // by the clock
  readonly sentAttentiveMs: number;
  isAnswered: boolean;
}

interface Knowledge {
  readonly endpoint: string;
  readonly path: TwinPathSize;
  probes: Probe[];
  sizes: Probe[];
  sent: number;
  answered: number;
  probedMs: number;
  rttsMs: number[];
  isRefused: boolean;
  doubt: number | undefined;
  health: "unknown" | "reachable" | "lost";
  isHeard: boolean; // since its health changed
  takesEcn: boolean;
  toldRevision: number; // 0 = it tells nothing
}

/** An error about a datagram that was sent. */
interface PathError {
  readonly errno: number;
  /** Our own kernel says so, of a datagram that it did not send; else a router or host on the way. */
  readonly isLocal: boolean;
  readonly address: string;
  readonly port: number;
  /** What fits, all headers included. */
  readonly mtu: number;
  /** Whether it quotes what this node sends. */
  readonly isOurs: boolean;
}

export class TwinNodes {
  private known = new Map<string, Knowledge>();
  /** What this node tells of its instances. */
  told: { readonly revision: number; readonly pages: readonly Uint8Array[] } = { revision: 0, pages: [] };
  /** By node, the page that it is asked for. */
  readonly wanted = new Map<string, number>();
  /** Pages of other nodes, for the control plane. */
  readonly pagesHeard: { readonly id: string; readonly revision: number; readonly page: string }[] = [];
  attentiveMs = 0;
  private attendedMs = 0;

  constructor(
    private readonly tables: TwinTables,
    private readonly ledger: Ledger,
    private readonly probeIntervalMs: number,
    private readonly tunMtu: number | undefined,
  ) {}

  /** A node that left the tables is another one when it comes back, and one that moved as well. */
  apply(): void {
    const before = this.known;
    this.known = new Map(
      this.tables.nodeIds().map((id) => {
        const known = before.get(this.tables.formerId(id));
        const endpoint = this.tables.endpointOf(id) as string;
        return [id, known?.endpoint === endpoint ? known : this.nothing(endpoint)];
      }),
    );
  }

  /** Sees to every node; `sentTo` are the probes that the engine made, by endpoint, in their order. */
  attend(nowMs: number, sentTo: (endpoint: string) => readonly Uint8Array[]): void {
    this.attentiveMs += Math.min(nowMs - this.attendedMs, ATTENTION_MS);
    this.attendedMs = nowMs;
    for (const [id, node] of this.known) {
      const page = this.wanted.get(id);
      this.judge(node);
      const { endpoint } = node;
      const probes = [...sentTo(endpoint)];
      const size = node.path.step(node.health, this.attentiveMs, {
        isAnswered: (number) => node.probes.some((probe) => probe.number === number && probe.isAnswered),
        age: (number) => this.ageOf(node, number),
        patienceMs: Math.max(1000, 2 * slowest(node)),
      });
      if (size !== undefined) {
        this.send(endpoint, node, size, 0, probes.shift(), nowMs);
        node.path.tried(node.sent + 1, this.attentiveMs);
      }
      if (size !== undefined || this.isDue(node)) {
        node.sent += 1;
        node.probedMs = this.attentiveMs;
        const length = page === undefined ? ProbeLayout.SIZE : PAGE_PROBE;
        this.send(endpoint, node, length, node.sent, probes.shift(), nowMs, page);
      }
    }
  }

  /** A probe, or the reply to one, from the tunnel. */
  receiveProbe(
    sender: { readonly address: string; readonly port: number },
    from: string,
    probe: Uint8Array,
    nowMs: number,
  ): DropReason {
    if (from === STRANGER) return DropReason.badProbe;
    if (probe.length < ProbeLayout.SIZE || probe[2] !== ProbeLayout.VERSION) return DropReason.badProbe;
    if (probe[3] === ProbeLayout.REQUEST) {
      const reply = this.replyTo(probe);
      this.ledger.send(endpointText(sender.address, sender.port), reply);
      this.ledger.count("probesAnswered");
      return DropReason.none;
    }
    const node = this.known.get(from);
    const asked = [...(node?.probes ?? []), ...(node?.sizes ?? [])].find(
      (one) => !one.isAnswered && one.id === identityOf(probe),
    );
    if (probe[3] !== ProbeLayout.REPLY || node === undefined || asked === undefined) return DropReason.badProbe;
    this.answer(node, asked, nowMs);
    node.takesEcn = ((probe[ABILITIES] as number) & ProbeLayout.TAKES_ECN) !== 0;
    this.hear(from, node, probe);
    this.ledger.count("probeReplies");
    return DropReason.none;
  }

  /** A request gets as much back as it brought, and no page that there is not. */
  private replyTo(probe: Uint8Array): Uint8Array {
    const request = Buffer.from(probe);
    const { revision, pages } = this.told;
    const asksPage = (request.readUInt32LE(ABILITIES) & ProbeLayout.ASKS_PAGE) !== 0;
    const page = asksPage && probe.length >= PAGE_PROBE ? pages[request.readUInt32LE(PAGE)] : undefined;
    const reply = Buffer.from(request.subarray(0, ProbeLayout.SIZE));
    reply[3] = ProbeLayout.REPLY;
    reply.writeUInt32LE(ProbeLayout.TAKES_ECN + (revision === 0 ? 0 : ProbeLayout.TELLS_HEALTH), ABILITIES);
    reply.writeUInt32LE(revision, PAGE);
    if (page === undefined) return reply;
    this.ledger.meet("a node is given a health page");
    return Buffer.concat([reply, page]);
  }

  /** What an answer says of the health of its node's instances. */
  private hear(id: string, node: Knowledge, probe: Uint8Array): void {
    const answer = Buffer.from(probe);
    const tells = (answer.readUInt32LE(ABILITIES) & ProbeLayout.TELLS_HEALTH) !== 0;
    node.toldRevision = tells ? answer.readUInt32LE(PAGE) : 0;
    if (node.toldRevision === 0 || probe.length !== PAGE_PROBE) return;
    this.ledger.meet("a node gives a health page");
    const page = answer.subarray(ProbeLayout.SIZE).toString("hex");
    this.pagesHeard.push({ id, revision: node.toldRevision, page });
  }

  /** Of what a node tells, 0 = nothing. */
  toldRevision(id: string): number {
    return this.of(id).toldRevision;
  }

  pathError({ errno, isLocal, address, port, mtu, isOurs }: PathError): void {
    const size = Math.max(0, mtu - (address.includes(":") ? 48 : 28));
    if (isLocal) {
      if (errno !== EMSGSIZE) return;
      for (const [id, { path }] of this.known) if (this.tables.addressOf(id) === address) path.learnDevice(size);
      return;
    }
    const node = this.at(endpointText(address, port));
    this.ledger.count(node === undefined || !isOurs ? "pathErrorsForeign" : "pathErrors");
    if (node === undefined || !isOurs) return;
    if (errno === EMSGSIZE) node.path.learnHint(size);
    else node.isRefused = true;
  }

  /** Whether the node there says that it takes over the ECN field of outer headers. */
  takesEcn(endpoint: string): boolean {
    return this.at(endpoint)?.takesEcn ?? false;
  }

  /** A datagram that goes to an endpoint. */
  noteDatagram(endpoint: string, length: number): void {
    const node = this.at(endpoint);
    if (node !== undefined && length > CARRIED_ALWAYS) node.path.isLargeSent = true;
  }

  /** Whether a datagram of that length may be sent to an endpoint in fragments. */
  mayFragment(endpoint: string, length: number): boolean {
    const whole = this.at(endpoint)?.path.whole;
    if (whole === undefined || length <= whole) return false;
    this.ledger.meet("a datagram may go in fragments");
    return true;
  }

  /** The largest packet that goes to a node in one datagram, as far as is known. */
  mtu(id: string): number {
    return this.of(id).path.mtu ?? Number.POSITIVE_INFINITY;
  }

  /** The largest packet that is carried to a node. */
  pathMtu(id: string): number {
    return Math.max(this.mtu(id), CARRIED_ALWAYS);
  }

  isReachable(id: string): boolean {
    return this.of(id).health !== "lost";
  }

  /** What is known changed in a way that flows are held against. */
  private judge(node: Knowledge): void {
    if (node.isRefused && node.health === "reachable" && !isDoubted(node)) node.doubt = node.sent + 1;
    node.isRefused = false;
    if (node.health !== "reachable") {
      if (node.isHeard) this.turn(node, "reachable");
    } else if (this.isSilent(node)) {
      this.turn(node, "lost");
    }
  }

  private turn(node: Knowledge, health: Knowledge["health"]): void {
    if (health === "lost")
      this.ledger.meet(isDoubted(node) ? "node lost: it refuses datagrams" : "node lost: it is silent");
    else if (node.health === "lost") this.ledger.meet("node returned");
    node.health = health;
    if (health === "lost") node.takesEcn = false;
    node.isHeard = false;
  }

  private isSilent(node: Knowledge): boolean {
    if (node.sent - node.answered < UNANSWERED) return false;
    const slowMs = 2 * slowest(node);
    const age = (number: number): number => this.ageOf(node, number);
    const inDoubt = Math.max(DOUBT_MS, slowMs);
    if (age(node.answered + 1) >= Math.max(SILENCE_MS, slowMs) && age(node.answered + UNANSWERED) >= inDoubt)
      return true;
    if (!isDoubted(node)) return false;
    const third = (node.doubt as number) + UNANSWERED - 1;
    return node.sent >= third && age(third) >= inDoubt;
  }

  private isDue(node: Knowledge): boolean {
    if (this.probeIntervalMs === 0) return false;
    if (node.sent === 0) return true;
    return this.attentiveMs - node.probedMs >= this.pauseMs(node);
  }

  private pauseMs(node: Knowledge): number {
    const unanswered = node.sent - node.answered;
    if (unanswered >= EAGER_MAX) return Math.max(this.probeIntervalMs, RETRY_MS);
    if (isDoubted(node)) return 0;
    const isLate = unanswered > 0 && this.ageOf(node, node.answered + 1) >= RETRY_MS;
    return isLate ? Math.min(this.probeIntervalMs, RETRY_MS) : this.probeIntervalMs;
  }

  /** One that is forgotten is older than all. */
  private ageOf(node: Knowledge, number: number): number {
    const probe = node.probes.find((one) => one.number === number);
    return probe === undefined ? Number.POSITIVE_INFINITY : this.attentiveMs - probe.sentAttentiveMs;
  }

  private send(
    endpoint: string,
    node: Knowledge,
    size: number,
    number: number,
    made: Uint8Array | undefined,
    nowMs: number,
    page?: number,
  ): void {
    const probe = Buffer.alloc(size);
    probe.set([0x53, 0x57, ProbeLayout.VERSION, ProbeLayout.REQUEST]);
    probe.set((made ?? probe).subarray(4, 16), 4); // what only the engine knows
    if (page !== undefined) {
      probe.writeUInt32LE(ProbeLayout.ASKS_PAGE, ABILITIES);
      probe.writeUInt32LE(page, PAGE);
    }
    const sent = {
      ...{ number, size, id: identityOf(probe), isAnswered: false },
      ...{ sentMs: nowMs, sentAttentiveMs: this.attentiveMs },
    };
    if (number === 0) node.sizes = [...node.sizes, sent].slice(-SIZES_REMEMBERED);
    else node.probes = [...node.probes, sent].slice(-REMEMBERED);
    this.ledger.send(endpoint, probe);
    this.ledger.count("probesSent");
  }

  private answer(node: Knowledge, probe: Probe, nowMs: number): void {
    probe.isAnswered = true;
    node.isHeard = true;
    if (probe.number === 0) return node.path.passed(probe.size);
    node.answered = Math.max(node.answered, probe.number);
    const rttMs = nowMs - probe.sentMs;
    if (rttMs > this.attentiveMs - probe.sentAttentiveMs + PAUSE_MS) return;
    node.rttsMs = [...node.rttsMs, rttMs].slice(-RTT_SAMPLES);
  }

  private at(endpoint: string): Knowledge | undefined {
    return [...this.known.values()].find((node) => node.endpoint === endpoint);
  }

  private of(id: string): Knowledge {
    return this.known.get(id) ?? this.nothing("");
  }

  private nothing(endpoint: string): Knowledge {
    const fullSize = Math.min(this.tunMtu ?? 1500, UDP_PAYLOAD_MAX);
    return {
      endpoint,
      path: new TwinPathSize(fullSize, {
        disproved: () => this.ledger.count("pathErrorsDisproved"),
        learnt: () => this.ledger.meet("a path MTU is learnt"),
      }),
      ...{ probes: [], sizes: [], sent: 0, answered: 0, probedMs: 0, rttsMs: [] },
      ...{ isRefused: false, doubt: undefined, health: "unknown", isHeard: false, takesEcn: false },
      toldRevision: 0,
    };
  }
}

/** Said to refuse datagrams, and has answered no probe since. */
function isDoubted({ doubt, answered }: Knowledge): boolean {
  return doubt !== undefined && answered < doubt;
}

function slowest({ rttsMs }: Knowledge): number {
  return Math.max(0, ...rttsMs);
}

/** What a reply must repeat. */
function identityOf(probe: Uint8Array): string {
  return Buffer.from(probe.subarray(4, 16)).toString("hex");
}
