// What happens beside packets, at random: nodes answer probes or fall silent, the kernel reports what it could not
// send, and the control plane answers what it was asked.
import * as HealthPageLayout from "../../assembly/shared/layout/health-page.ts";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import type { Instance, Tables } from "../../src/model/tables.ts";
import type { Endpoint, ErrorAbout } from "./engine-memory.ts";
import { fragmentsOf } from "./fragments.ts";
import { nth } from "./given.ts";
import { corrupt, FLAG, packet, tcpPacket, virtioFrame } from "./packet-builder.ts";
import type { Random } from "./random.ts";
import { endpointText } from "./reference/tables.ts";
import type { Message } from "./reference/translator.ts";
import { isV4 } from "./traffic-kinds.ts";
import type { TrafficWorld } from "./traffic-world.ts";
import { THIS_NODE } from "./world.ts";

const EMSGSIZE = 90;
const ECONNREFUSED = 111;
/** One that is not believed, the least, such as leave little or nothing to spare, and a common one. */
const OUTER_MTUS = [551, 552, 1000, 1308, 1318, 1328, 1350, 1400, 1440, 1500];
/** Longest datagrams that paths take. */
const PATHS = [504, 952, 1260, 1270, 1280, 1290, 1302, 1452, 1452, 1452];
const PATH_WIDE = 1452;
/** So long that larger sizes than the known one are tried again. */
const LOOKS_AT_REST = 320;
const LOOK_REST_MS = 200;
const FLOOD = 1100;
const REFUSED_PORT = 7777;
const OPENINGS = 24;
const PAGE_PROBE = ProbeLayout.SIZE + HealthPageLayout.SIZE;
const OUTER_MTU_SMALL = 1308;
const STRANGER: Endpoint = { address: "198.51.100.66", port: 50_103 };

/** Whom it happens to: an engine, or several of them. */
export interface TrafficTarget {
  egress(...frames: readonly Uint8Array[]): unknown;
  ingress(...messages: readonly Message[]): unknown;
  probe(): { readonly datagrams: readonly { readonly endpoint: string; readonly bytes: Uint8Array }[] };
  unpark(): unknown;
  sweep(): unknown;
  apply(tables: Tables): Promise<void>;
  acceptStrangers?(isOn: boolean): void;
  /** The control plane says that there is no such address. */
  refuse(address: string): void;
  pathError(errno: number, to: Endpoint, about?: ErrorAbout): void;
  /** Checks say so of an instance. */
  setHealth?(service: string, number: number, health: "healthy" | "unhealthy" | "unknown"): void;
  /** The control plane has pages to tell, and wants a node's. */
  tellHealth?(revision: number, pages: readonly Uint8Array[]): void;
  wantPage?(node: string, page: number | undefined): void;
  advance(milliseconds: number): void;
}

export class TrafficEvents {
  /** Nodes that answer no probe. */
  private readonly silent = new Set<string>();
  /** Longest datagram that the path to a node takes. */
  private readonly paths = new Map<string, number>();
  /** Nodes that know nothing of ECN. */
  private readonly older = new Set<string>();
  private pauses = 0;

  constructor(
    private readonly random: Random,
    private readonly world: TrafficWorld,
    private readonly fixture: TrafficTarget,
  ) {}

  /** After the packets of a batch: time passes, now and then something happens, and the tables change. */
  async follow(batch: number): Promise<void> {
    const { random, fixture, world } = this;
    fixture.advance(random.below(40) * random.below(2));
    if (batch % 5 === 4) await this.next();
    if (batch % 40 === 39) fixture.sweep();
    if (batch % 700 === 699) this.pause();
    if (batch % 100 !== 99) return;
    for (let i = random.between(1, 4); i > 0; i--) world.change();
    fixture.acceptStrangers?.(batch % 1000 >= 700);
    await fixture.apply(world.tables());
  }

  /** A moment in which anything may happen. */
  private async next(): Promise<void> {
    const { random, fixture, world } = this;
    this.probe();
    fixture.unpark();
    if (random.chance(0.06)) fixture.refuse(world.anyUnknown());
    if (random.chance(0.15)) {
      if (random.chance(0.5)) world.hide();
      else world.show();
      await fixture.apply(world.tables());
    }
    if (random.chance(0.05)) this.changeSilence();
    if (random.chance(0.05)) this.changeVersion();
    if (random.chance(0.3)) this.changeHealth();
    if (random.chance(0.1)) this.askPage();
    if (random.chance(0.05)) this.refuseOpenings();
    if (random.chance(0.06)) this.paths.set(random.pick(world.tables().nodes).id, random.pick(PATHS));
    if (random.chance(0.1)) fixture.pathError(ECONNREFUSED, this.anyUnderlay());
    if (random.chance(0.1)) fixture.pathError(EMSGSIZE, this.anyUnderlay(), { mtu: random.pick(OUTER_MTUS) });
    if (random.chance(0.02)) {
      fixture.pathError(EMSGSIZE, this.anyUnderlay(), { mtu: random.pick(OUTER_MTUS), isLocal: true });
    }
  }

  /** So long that larger sizes are tried again. Then more packets at once than are answered. */
  private pause(): void {
    const { fixture, random } = this;
    for (let look = 0; look < LOOKS_AT_REST; look++) {
      fixture.advance(LOOK_REST_MS);
      this.probe();
    }
    const ends = this.remoteEnds();
    if (ends === undefined) return;
    const { underlay, src, dst } = ends;
    const ports = { sport: random.between(1, 65_535), dport: 443 };
    const whole = packet().ip(src, dst).udp(ports).payload(3000).bytes();
    const [first, later] = fragmentsOf(whole, 1400, random.u32()) as [Uint8Array, Uint8Array];
    const small = nth(fragmentsOf(first, 104), 0);
    const syn = tcpPacket(src, dst, { ...ports, flags: FLAG.SYN, options: [2, 4, 5, 180] });
    this.pauses++;
    fixture.egress(...(this.pauses % 2 === 1 ? [syn.frame()] : [virtioFrame(small, {}), virtioFrame(later, {})]));

    fixture.pathError(EMSGSIZE, underlay, { mtu: OUTER_MTU_SMALL, isLocal: true });
    const large = packet().ip(src, dst).udp(ports).payload(1450).frame();
    fixture.egress(...Array<Uint8Array>(FLOOD).fill(large));
  }

  /** A workload of this node and an instance of another one, both with IPv4, and where the other node is. */
  private remoteEnds(): { readonly underlay: Endpoint; readonly src: string; readonly dst: string } | undefined {
    const { services, nodes } = this.world.tables();
    const instances = services.flatMap((service) => service.instances).filter(isIpv4);
    const local = instances.find(({ node }) => node === THIS_NODE);
    const remote = instances.find(({ node }) => node !== THIS_NODE && !this.silent.has(node));
    const underlay = nodes.find(({ id }) => id === remote?.node)?.underlay;
    const src = local?.namespaceAddresses.find(isV4);
    const dst = remote?.instanceAddresses.find(isV4);
    if (underlay === undefined || src === undefined || dst === undefined) return undefined;
    return { underlay, src, dst };
  }

  private probe(): void {
    const { datagrams } = this.fixture.probe();
    const answering = this.world.tables().nodes.filter(({ id }) => !this.silent.has(id));
    const replies = answering.flatMap(({ id, underlay: { address, port } }) => {
      const fits = this.paths.get(id) ?? PATH_WIDE;
      const probes = datagrams.filter(
        ({ endpoint, bytes }) => endpoint === endpointText(address, port) && bytes.length <= fits,
      );
      return probes.map(({ bytes }) => ({ address, port, bytes: this.answer(id, bytes) }));
    });
    this.fixture.ingress(...replies);
  }

  private answer(id: string, probe: Uint8Array): Uint8Array {
    const reply = corrupt(probe.subarray(0, ProbeLayout.SIZE), ProbeLayout.TYPE_AT, ProbeLayout.REPLY);
    if (this.older.has(id)) return reply;
    const { random } = this;
    const tells = random.chance(0.5);
    const answer = Buffer.from(reply);
    answer.writeUInt32LE(ProbeLayout.TAKES_ECN + (tells ? ProbeLayout.TELLS_HEALTH : 0), ProbeLayout.ABILITIES_AT);
    answer.writeUInt32LE(random.below(5), ProbeLayout.REVISION_AT);
    const isAsked =
      probe.length === PAGE_PROBE &&
      (Buffer.from(probe).readUInt32LE(ProbeLayout.ABILITIES_AT) & ProbeLayout.ASKS_PAGE) !== 0;
    // Whole, or not whole, which is no page.
    return isAsked
      ? Buffer.concat([answer, random.bytes(HealthPageLayout.SIZE - (random.chance(0.2) ? 1 : 0))])
      : answer;
  }

  /** A node that asks about the health of this one's instances, for a page that there may not be. */
  private askPage(): void {
    const { random, fixture } = this;
    const request = Buffer.alloc(random.chance(0.8) ? PAGE_PROBE : PAGE_PROBE - 1);
    request.set([0x53, 0x57, ProbeLayout.VERSION, ProbeLayout.REQUEST]);
    request.writeUInt32LE(ProbeLayout.ASKS_PAGE, ProbeLayout.ABILITIES_AT);
    request.writeUInt32LE(random.below(4), ProbeLayout.PAGE_AT);
    fixture.ingress({ ...this.anyUnderlay(), bytes: request });
  }

  /** A node stops or starts answering. */
  private changeSilence(): void {
    const { id } = this.random.pick(this.world.tables().nodes);
    if (!this.silent.delete(id) && this.random.chance(0.5)) this.silent.add(id);
  }

  /** A node is replaced by a newer or an older version. */
  private changeVersion(): void {
    const { id } = this.random.pick(this.world.tables().nodes);
    if (!this.older.delete(id)) this.older.add(id);
  }

  /** An instance falls ill or recovers; now and then all of its service. */
  private changeHealth(): void {
    const { random, fixture } = this;
    const service = random.pick(this.world.tables().services.filter(({ instances }) => instances.length > 0));
    const changed = random.chance(0.2) ? service.instances : [random.pick(service.instances)];
    const health = random.chance(0.5) ? "unhealthy" : "healthy";
    for (const { number } of changed) fixture.setHealth?.(service.name, number, health);
    if (random.chance(0.2)) fixture.tellHealth?.(random.between(1, 1000), this.anyPages());
    const wanted = random.chance(0.6) ? random.below(3) : undefined;
    fixture.wantPage?.(random.pick(this.world.tables().nodes).id, wanted);
  }

  /** Connections of this node's workloads to a service, one of whose instances refuses them, mostly. */
  private refuseOpenings(): void {
    const { random, fixture } = this;
    const { services, nodes } = this.world.tables();
    const clients = services
      .flatMap(({ instances }) => instances)
      .filter((one) => one.node === THIS_NODE && isIpv4(one))
      .flatMap(({ namespaceAddresses }) => namespaceAddresses.filter(isV4));
    const remote = services.map(({ name, addresses, instances }) => ({
      name,
      called: addresses.map(({ address }) => address).find(isV4),
      answering: instances.filter((one) => one.node !== THIS_NODE && isIpv4(one)),
    }));
    const { name, called, answering } = random.pick(remote.filter((one) => one.answering.length > 0));
    if (called === undefined || clients.length === 0) return;
    const refusing = random.pick(answering);
    fixture.setHealth?.(name, refusing.number, "unknown"); // what checks say counts more
    for (let opening = 0; opening < OPENINGS; opening++) {
      const client = random.pick(clients);
      const ports = { sport: random.between(1, 65_535), dport: REFUSED_PORT };
      fixture.egress(tcpPacket(client, called, { ...ports, flags: FLAG.SYN }).frame());
      const isRefused = random.chance(0.9);
      // Of all instances: only the answer of the chosen one is taken.
      const answers = answering.flatMap((one) => {
        const underlay = nodes.find(({ id }) => id === one.node)?.underlay;
        const source = one.instanceAddresses.find(isV4);
        if (underlay === undefined || source === undefined) return [];
        const flags = (one === refusing && isRefused ? FLAG.RST : FLAG.SYN) | FLAG.ACK;
        const answer = packet().ip(source, client).tcp({ sport: ports.dport, dport: ports.sport, flags, ack: 1 });
        return [{ address: underlay.address, port: underlay.port, bytes: answer.bytes() }];
      });
      fixture.ingress(...answers);
    }
  }

  private anyPages(): Uint8Array[] {
    return Array.from({ length: this.random.between(1, 3) }, () => this.random.bytes(HealthPageLayout.SIZE));
  }

  private anyUnderlay(): Endpoint {
    return this.random.chance(0.1) ? STRANGER : this.random.pick(this.world.tables().nodes).underlay;
  }
}

function isIpv4({ namespaceAddresses, instanceAddresses }: Instance): boolean {
  return namespaceAddresses.some(isV4) && instanceAddresses.some(isV4);
}
