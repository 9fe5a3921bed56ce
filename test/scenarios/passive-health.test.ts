// Instances whose openings fail get no new flows for a while, without any check: from whom, for how long, and what a
// client can do to others by it, which is nothing.
import { describe, expect, onTestFinished, test } from "vitest";
import { RECORD_FLAGS, RECORD_HEALTHY, RECORD_SIZE } from "../../assembly/shared/policies.ts";
import { PassiveHealth } from "../../src/control/health/passive-health.ts";
import { CandidateReader } from "../../src/dataplane/modules/candidate-reader.ts";
import { writeInstanceHealth } from "../../src/memory/instance-health.ts";
import { DEFAULT_PASSIVE_HEALTH } from "../../src/memory/shared-memory.ts";
import type { EngineFixture, FixtureOptions } from "../support/engine-fixture.ts";
import { FLAG, packet } from "../support/packet-builder.ts";
import {
  A1,
  B1,
  B2,
  B3,
  C1,
  FROM,
  instance,
  onNodeA,
  ROUND_ROBIN,
  service,
  serviceB,
  TO,
  world,
} from "../support/world.ts";

const E1 = { v4: "10.101.3.25", v6: "fc00::101:3:25", instanceV4: "10.30.1.7", instanceV6: "fdff::107" };
const F1 = { v4: "10.101.3.26", v6: "fc00::101:3:26", instanceV4: "10.30.1.8", instanceV6: "fdff::108" };
const CLIENTS = service("clients", [instance(1, "node-a", E1), instance(2, "node-a", F1)], "10.30.1.20");
const INSTANCES = [
  { workload: B1, from: FROM.b, to: TO.b },
  { workload: B2, from: FROM.c, to: TO.c },
  { workload: B3, from: FROM.d, to: TO.d },
] as const;
const ALL = [0, 1, 2];
const PORT_UNREACHABLE = { v4: { type: 3, code: 3 }, v6: { type: 1, code: 4 } };
const HOST_UNREACHABLE = { v4: { type: 3, code: 1 }, v6: { type: 1, code: 3 } };
const PAUSE_MS = 10_000;

type Client = typeof A1;
type Family = "v4" | "v6";
interface Call {
  readonly client?: Client;
  readonly family?: Family;
  readonly dport?: number;
}

class World {
  private sport = 1024;

  constructor(
    readonly fixture: EngineFixture,
    /** The service record of the last choice. */
    readonly serviceAt: () => number,
  ) {}

  static async open(options: Partial<FixtureOptions> = {}): Promise<World> {
    let turn = 0;
    let serviceAt = 0;
    const fixture = await onNodeA({
      tables: world(serviceB(), CLIENTS),
      memory: { passiveHealth: DEFAULT_PASSIVE_HEALTH, probeIntervalMs: 0 },
      // In turn, whoever is unhealthy.
      policy: ({ candidates }, at) => {
        serviceAt = at;
        return turn++ % candidates.length;
      },
      ...options,
    });
    return new World(fixture, () => serviceAt);
  }

  /** One opening: which instance it goes to, and how that may be answered. */
  open({ client = A1, family = "v4", dport = 80 }: Call = {}, flags = FLAG.SYN) {
    this.sport += 1;
    const sport = this.sport;
    const { datagrams } = this.fixture.egress(
      packet().ip(client[family], ROUND_ROBIN.b[family]).tcp({ sport, dport, flags, ack: 77 }).frame(),
    );
    const to = INSTANCES.findIndex((one) => one.to === datagrams[0]?.endpoint);
    const place = INSTANCES[to];
    if (place === undefined) throw new Error("the opening went nowhere");
    const [own, self] = [place.workload, family === "v4" ? place.workload.instanceV4 : place.workload.instanceV6];
    const answer = (answered: number): unknown =>
      this.fixture.ingress({
        ...place.from,
        bytes: packet().ip(self, client[family]).tcp({ sport: dport, dport: sport, flags: answered, ack: 1 }).bytes(),
      }).counts;
    return {
      to,
      accept: () => answer(FLAG.SYN | FLAG.ACK),
      refuse: (with_ = FLAG.RST | FLAG.ACK) => answer(with_),
      acknowledge: () =>
        this.fixture.egress(
          packet().ip(client[family], ROUND_ROBIN.b[family]).tcp({ sport, dport, flags: FLAG.ACK, ack: 5 }).frame(),
        ),
      /** The node of the instance says so, which `router` stands for. */
      unreachable: (error: { readonly type: number; readonly code: number }) =>
        this.fixture.ingress({
          ...place.from,
          bytes: packet()
            .ip(self, client[family])
            .icmp({ ...error, words: [0, 0] })
            .payload(packet().ip(client[family], self).tcp({ sport, dport, flags: FLAG.SYN }).bytes())
            .bytes(),
        }),
      own,
    };
  }

  /** Which instances so many openings go to; none of them is answered. */
  reach(times: number, call: Call = {}): number[] {
    return [...new Set(Array.from({ length: times }, () => this.open(call).to))].sort();
  }

  /** So many openings to the instance are made at once and then treated so; those to others are accepted. */
  meet(instance: number, times: number, how: (opened: ReturnType<World["open"]>) => unknown, call: Call = {}): void {
    const openings = Array.from({ length: 3 * times }, () => this.open(call));
    for (const opened of openings.filter(({ to }) => to !== instance)) opened.accept();
    const met = openings.filter(({ to }) => to === instance);
    expect(met, `openings to instance ${instance}`).toHaveLength(times);
    for (const opened of met) how(opened);
  }

  refuse(instance: number, times: number, call: Call = {}): void {
    this.meet(instance, times, (opened) => opened.refuse(), call);
  }
}

describe("an instance that refuses openings", () => {
  test.each(["v4", "v6"] as const)("three times in a row gets no more for ten seconds, %s", async (family) => {
    const { fixture, ...w } = await withFixture();
    w.world.refuse(1, 2, { family });
    expect(w.world.reach(9, { family })).toEqual(ALL);
    w.world.refuse(1, 1, { family });
    const before = fixture.countsSinceStart();
    expect(w.world.reach(30, { family })).toEqual([0, 2]);
    expect(fixture.countsSinceStart().policyOverruled).toBe((before.policyOverruled ?? 0) + 10);
    expect(before.openingsRefused).toBe(3);
    fixture.advance(PAUSE_MS - 1);
    expect(w.world.reach(9, { family })).toEqual([0, 2]);
    fixture.advance(1);
    expect(w.world.reach(9, { family })).toEqual(ALL);
  });

  test("and does so after the pause as well is left alone again at once; one that serves again is not", async () => {
    const { fixture, world: w } = await withFixture();
    w.refuse(1, 3);
    fixture.advance(PAUSE_MS);
    w.refuse(1, 1);
    expect(w.reach(9)).toEqual([0, 2]);
    fixture.advance(PAUSE_MS);
    w.meet(1, 1, (opened) => opened.accept());
    w.refuse(1, 2);
    expect(w.reach(9)).toEqual(ALL);
  });

  test("in between others that it accepts is no outlier", async () => {
    const { world: w } = await withFixture();
    for (let i = 0; i < 5; i++) {
      w.refuse(1, 2);
      w.meet(1, 1, (opened) => opened.accept());
    }
    expect(w.reach(9)).toEqual(ALL);
  });

  test("long ago and once more now is none either", async () => {
    const { fixture, world: w } = await withFixture();
    w.refuse(1, 2);
    fixture.advance(PAUSE_MS + 60_000);
    w.refuse(1, 1);
    expect(w.reach(9)).toEqual(ALL);
  });

  test("at one port serves at others", async () => {
    const { world: w } = await withFixture();
    w.refuse(1, 3, { dport: 9999 });
    expect(w.reach(9, { dport: 9999 })).toEqual([0, 2]);
    expect(w.reach(9)).toEqual(ALL);
  });

  test("by an error of its node is left alone as well", async () => {
    for (const error of [PORT_UNREACHABLE, HOST_UNREACHABLE]) {
      for (const family of ["v4", "v6"] as const) {
        const { world: w } = await withFixture();
        w.meet(1, 3, (opened) => opened.unreachable(error[family]), { family });
        expect(w.reach(9, { family })).toEqual([0, 2]);
      }
    }
  });

  test("is used when all do", async () => {
    const { world: w } = await withFixture();
    const openings = Array.from({ length: 9 }, () => w.open());
    for (const opened of openings) opened.refuse();
    expect(w.reach(30)).toEqual(ALL);
  });

  test("UDP: is known by errors of the port alone, and by its answers", async () => {
    const { fixture } = await withFixture({ policy: ({ candidates }) => (candidates.length > 0 ? 1 : 0) });
    const send = (sport: number): string | undefined =>
      fixture.egress(packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport, dport: 53 }).frame()).datagrams[0]?.endpoint;
    const refuse = (sport: number): unknown =>
      fixture.ingress({
        ...FROM.c,
        bytes: packet()
          .ip(B2.instanceV4, A1.v4)
          .icmp({ ...PORT_UNREACHABLE.v4, words: [0, 0] })
          .payload(packet().ip(A1.v4, B2.instanceV4).udp({ sport, dport: 53 }).bytes())
          .bytes(),
      });
    for (let sport = 2000; sport < 2010; sport++) expect(send(sport)).toBe(TO.c); // silence says nothing
    fixture.attend(30_000);
    fixture.sweep();
    for (let sport = 3000; sport < 3003; sport++) {
      expect(send(sport)).toBe(TO.c);
      for (let again = 0; again < 3; again++) refuse(sport); // one opening, however often it is told
    }
    expect(send(4000)).not.toBe(TO.c);
    fixture.ingress({ ...FROM.c, bytes: packet().ip(B2.instanceV4, A1.v4).udp({ sport: 53, dport: 3002 }).bytes() });
    expect(send(4001)).toBe(TO.c);
    expect(fixture.countsSinceStart().openingsRefused).toBe(3);
  });
});

describe("an instance that does not answer", () => {
  test("three openings for three seconds each gets no more", async () => {
    const { fixture, world: w } = await withFixture();
    fixture.probe();
    w.meet(1, 3, () => undefined);
    fixture.attend(2900);
    fixture.sweep();
    expect(fixture.countsSinceStart().openingsUnanswered).toBeUndefined();
    fixture.attend(200);
    fixture.sweep();
    expect(fixture.countsSinceStart().openingsUnanswered).toBe(3);
    expect(w.reach(9)).toEqual([0, 2]);
  });

  test("because this process did not run does not count", async () => {
    const { fixture, world: w } = await withFixture();
    w.meet(1, 3, () => undefined);
    fixture.advance(60_000);
    fixture.sweep();
    expect(fixture.countsSinceStart().openingsUnanswered).toBeUndefined();
    expect(w.reach(9)).toEqual(ALL);
  });
});

describe("what one client meets", () => {
  test("changes nothing for others, whatever it does", async () => {
    const { world: w } = await withFixture();
    w.refuse(1, 20);
    expect(w.reach(9)).toEqual([0, 2]);
    expect(w.reach(9, { client: C1 })).toEqual(ALL);
    // A second one as well.
    w.refuse(1, 20, { client: C1 });
    expect(w.reach(9, { client: E1 })).toEqual(ALL);
  });

  test("and two others meet, too, counts for everybody", async () => {
    const { fixture, world: w } = await withFixture();
    for (const client of [A1, C1, E1]) w.meet(1, 1, (opened) => opened.refuse(), { client });
    expect(w.reach(9, { client: F1 })).toEqual([0, 2]);
    expect(w.reach(9)).toEqual([0, 2]);
    fixture.advance(PAUSE_MS);
    expect(w.reach(9, { client: F1 })).toEqual(ALL);
  });

  test("ends for everybody when one is served", async () => {
    const { world: w } = await withFixture();
    const early = [0, 1, 2].map(() => w.open({ client: F1 })).find(({ to }) => to === 1);
    for (const client of [A1, C1, E1]) w.meet(1, 1, (opened) => opened.refuse(), { client });
    expect(w.reach(9)).toEqual([0, 2]);
    early?.accept();
    expect(w.reach(9)).toEqual(ALL);
  });

  test("for segments that nobody takes counts for itself alone", async () => {
    const { fixture, world: w } = await withFixture();
    for (const client of [A1, C1, E1]) w.meet(1, 3, () => undefined, { client });
    fixture.attend(3100);
    fixture.sweep();
    for (const client of [A1, C1, E1]) expect(w.reach(9, { client })).toEqual([0, 2]);
    expect(w.reach(9, { client: F1 })).toEqual(ALL);
  });

  test("for a reset that it provoked does not count at all", async () => {
    const { fixture, world: w } = await withFixture();
    for (const client of [A1, C1, E1]) {
      // A segment of no connection; a reset to a later segment; one that acknowledges no SYN.
      for (let i = 0; i < 12; i++) w.open({ client }, FLAG.ACK).refuse();
      for (let i = 0; i < 12; i++) {
        const opened = w.open({ client });
        opened.acknowledge();
        opened.refuse();
      }
      for (let i = 0; i < 12; i++) w.open({ client }).refuse(FLAG.RST);
    }
    expect(fixture.countsSinceStart().openingsRefused).toBeUndefined();
    expect(w.reach(9)).toEqual(ALL);
  });
});

describe("what the proxy tells", () => {
  const NAMES = ["a#1", "b#1", "b#2", "b#3", "c#1", "clients#1"];

  /** The instances that are avoided, as a running proxy knows them. */
  function watch(fixture: EngineFixture) {
    const told: string[] = [];
    let suspects: readonly number[] = [];
    const names = new Map(
      NAMES.map((text) => {
        const [service = "", number] = text.split("#");
        const [index = 0] = fixture.tables.instanceIndices(service).slice(Number(number) - 1);
        return [index, { service, number: Number(number), node: "node-x" }] as const;
      }),
    );
    const passive = new PassiveHealth({
      ...{ shared: fixture.shared, names: () => names, nowMs: () => fixture.nowMs },
      onSuspects: (found) => {
        for (const index of new Set([...suspects, ...found])) {
          writeInstanceHealth(fixture.shared, index, found.has(index) ? "suspect" : "unknown");
        }
        suspects = [...found];
      },
      onChange: ({ service, number }, state) => told.push(`${service}#${number} ${state?.health ?? "over"}`),
    });
    onTestFinished(() => passive.close());
    return { passive, told };
  }

  test("an instance that one client avoids, and why; once, however often it is tried again", async () => {
    const { fixture, world: w } = await withFixture();
    const { passive, told } = watch(fixture);
    passive.look();
    expect(passive.of("b", 2)).toBeUndefined();
    w.refuse(1, 3);
    passive.look();
    const reason = "refused the last 3 flows of client a#1 to TCP port 80";
    expect(passive.of("b", 2)).toMatchObject({ health: "avoided", reason });
    expect(passive.of("b", 1)).toBeUndefined();
    for (let i = 0; i < 5; i++) {
      fixture.advance(PAUSE_MS);
      passive.look();
      expect(passive.of("b", 2)).toBeUndefined();
      w.refuse(1, 1);
      passive.look();
    }
    expect(told).toEqual(["b#2 avoided"]);
    fixture.advance(PAUSE_MS + 60_000);
    passive.look();
    expect(told).toEqual(["b#2 avoided", "b#2 over"]);
  });

  test("policies see one that refuses everybody where it served, and none for what clients do elsewhere", async () => {
    const { fixture, world: w, flags } = await withFixture();
    const { passive, told } = watch(fixture);
    const refuseAll = (dport: number): void => {
      for (const client of [A1, C1, E1]) w.refuse(1, 1, { client, dport });
      passive.look();
    };
    refuseAll(9999); // where nobody ever listened
    expect(passive.of("b", 2)?.health).toBe("avoided");
    expect(flags()).toEqual([true, true, true]);
    w.meet(1, 1, (opened) => opened.accept());
    refuseAll(80);
    expect(passive.of("b", 2)).toMatchObject({
      health: "unhealthy",
      reason: "refused the last 3 flows of several clients to TCP port 80, and so 1 more",
    });
    expect(flags()).toEqual([true, false, true]);
    // The engine goes by ports, whatever policies see.
    expect(w.reach(9, { dport: 443 })).toEqual(ALL);
    fixture.advance(PAUSE_MS);
    passive.look();
    expect(flags()).toEqual([true, true, true]);
    expect(told).toEqual(["b#2 avoided", "b#2 unhealthy"]);
  });
});

describe("what checks say", () => {
  test("wins: a healthy instance is used whatever openings meet", async () => {
    const { fixture, world: w } = await withFixture();
    fixture.setHealth("b", 2, "healthy");
    w.refuse(1, 5);
    expect(w.reach(9)).toEqual(ALL);
    fixture.setHealth("b", 2, "unhealthy");
    expect(w.reach(9)).toEqual([0, 2]);
    fixture.setHealth("b", 2, "unknown");
    expect(w.reach(9)).toEqual([0, 2]);
  });
});

test("an instance that comes in place of an outlier has nothing to do with it", async () => {
  const { fixture, world: w } = await withFixture();
  w.refuse(1, 3);
  for (let i = 0; i < 3; i++) {
    await fixture.apply(world(serviceB([instance(1, "node-b", B1), instance(3, "node-d", B3)]), CLIENTS));
    await fixture.apply(world(serviceB(), CLIENTS));
  }
  expect(w.reach(9)).toEqual(ALL);
});

test("switched off, nothing is judged", async () => {
  const { fixture, world: w } = await withFixture({ memory: {} });
  w.refuse(1, 9);
  expect(w.reach(9)).toEqual(ALL);
  expect(fixture.countsSinceStart().openingsRefused).toBeUndefined();
});

async function withFixture(options: Partial<FixtureOptions> = {}) {
  const opened = await World.open(options);
  const { fixture } = opened;
  const flags = (): boolean[] => healthyFlags(fixture, opened.serviceAt());
  return { fixture, world: opened, flags };
}

/** What a policy is told of each of the three instances. */
function healthyFlags(fixture: EngineFixture, serviceAt: number): boolean[] {
  const records = new DataView(new ArrayBuffer(3 * RECORD_SIZE));
  new CandidateReader(fixture.shared.memory).copy(serviceAt, records, 0);
  return [0, 1, 2].map((i) => (records.getUint32(i * RECORD_SIZE + RECORD_FLAGS, true) & RECORD_HEALTHY) !== 0);
}
