// What happens beside packets, at random: nodes answer probes or fall silent, and the kernel reports what it could not
// send.
import { PROBE_REPLY, PROBE_TYPE_AT } from "../../assembly/shared/layout.ts";
import type { EngineFixture } from "./engine-fixture.ts";
import { corrupt } from "./packet-builder.ts";
import type { Random } from "./random.ts";
import { endpointText } from "./reference/tables.ts";
import type { Traffic } from "./traffic.ts";

const ECONNREFUSED = 111;
const STRANGER = "198.51.100.66";

export class TrafficEvents {
  /** Nodes that answer no probe. */
  private readonly silent = new Set<string>();

  constructor(
    private readonly random: Random,
    private readonly traffic: Traffic,
    private readonly fixture: EngineFixture,
  ) {}

  /** A moment in which anything may happen. */
  next(): void {
    const { random, fixture } = this;
    this.probe();
    if (random.chance(0.05)) this.hush();
    if (random.chance(0.1)) fixture.pathError(ECONNREFUSED, this.anyUnderlay());
  }

  private probe(): void {
    const { datagrams } = this.fixture.probe();
    const answering = this.traffic.tables().nodes.filter(({ id }) => !this.silent.has(id));
    const replies = answering.flatMap(({ underlay: { address, port } }) => {
      const probes = datagrams.filter(({ endpoint }) => endpoint === endpointText(address, port));
      return probes.map(({ bytes }) => ({ address, port, bytes: corrupt(bytes, PROBE_TYPE_AT, PROBE_REPLY) }));
    });
    this.fixture.ingress(...replies);
  }

  private hush(): void {
    const { id } = this.random.pick(this.traffic.tables().nodes);
    if (!this.silent.delete(id) && this.random.chance(0.5)) this.silent.add(id);
  }

  private anyUnderlay(): string {
    return this.random.chance(0.1) ? STRANGER : this.random.pick(this.traffic.tables().nodes).underlay.address;
  }
}
