// What Oakestra's NetManager is tested for (its proxy/Proxy_test.go), as packets through this proxy. Same ranges, same
// addresses, TCP SYN without payload. Where the outcome that is expected there follows from what its flow cache leaves
// out, the test says so, and what happens here follows from the flow keys.
import { describe, expect, test } from "vitest";
import type { Instance, Tables } from "../../src/model/tables.ts";
import { EngineFixture } from "../support/engine-fixture.ts";
import { FLAG, packet, virtioFrame } from "../support/packet-builder.ts";
import { expectPacket, from, sameBut, to, validChecksums } from "../support/packet-checks.ts";
import { packetIn, sentPacket, writtenPacket } from "../support/packets-of.ts";
import { RANGES } from "../support/world.ts";

const PEER = { address: "10.0.0.1", port: 50103 };
/** What a configuration says of such peers: they send from any port, and for instances that the tables may lack. */
const ACCEPT = { anyPort: true, addresses: [], anyAddress: false, unknownSources: true };
const TUNNEL = "10.0.0.1:50103";

function instance(number: number, node: string, namespace: readonly string[], own: readonly string[]): Instance {
  return { number, node, namespaceAddresses: namespace, instanceAddresses: own, weight: 1, draining: false };
}

/** The entries that the fake look-ups of the upstream test return, as tables. */
function tables(target: Instance, addresses: readonly string[], client: Instance): Tables {
  return {
    nodes: [{ id: "peer", underlay: PEER, accept: ACCEPT }],
    services: [
      { name: "target", addresses: addresses.map((address) => ({ address, policy: "closest" })), instances: [target] },
      { name: "client", addresses: [], instances: [client] },
    ],
  };
}

const TARGET = instance(0, "peer", ["10.19.2.12", "fd00::12"], ["10.30.255.254", "fdff::fe"]);
const CLIENT = instance(0, "self", ["10.19.1.1", "fc00::1"], ["10.30.255.253", "fdff::fd"]);
const CALLED = ["10.30.255.255", "fdff:2000::ff"];

function fixtureFor(content: Tables): Promise<EngineFixture> {
  return EngineFixture.create({ nodeId: "self", ranges: RANGES, tables: content });
}

function syn(src: string, dst: string, sport: number, dport: number): Uint8Array {
  return packet().ip(src, dst).tcp({ sport, dport, flags: FLAG.SYN }).bytes();
}

describe("TestOutgoingProxy", () => {
  test("10.19.1.1:666 to 10.30.255.255:80 becomes 10.30.255.253:666 to 10.19.2.12:80 [behaviour 10]", async () => {
    const fixture = await fixtureFor(tables(TARGET, CALLED, CLIENT));
    const original = syn("10.19.1.1", "10.30.255.255", 666, 80);
    const result = fixture.egress(virtioFrame(original, {}));
    expect(result.datagrams.map((one) => one.endpoint)).toEqual([TUNNEL]);
    expectPacket(
      sentPacket(result),
      from("10.30.255.253", 666),
      to("10.19.2.12", 80),
      validChecksums(),
      sameBut(original, "addresses"),
    );
  });

  test("10.19.1.1:666 to 10.20.1.1:80 is not converted", async () => {
    const fixture = await fixtureFor(tables(TARGET, CALLED, CLIENT));
    const result = fixture.egress(virtioFrame(syn("10.19.1.1", "10.20.1.1", 666, 80), {}));
    expect(result.counts).toEqual({ "egressDrop.notServiceAddress": 1 });
  });
});

describe("TestIngoingProxy", () => {
  const client = instance(0, "self", ["10.19.1.15", "fc00::15"], ["10.30.0.51", "fdff::51"]);
  const target = instance(0, "peer", ["10.19.2.1", "fd00::1"], ["10.30.0.50", "fdff::50"]);

  /** The flow {10.19.1.15:777, called 10.30.255.255:666, at 10.30.0.50}. */
  async function withFlow(): Promise<EngineFixture> {
    const fixture = await fixtureFor(tables(target, ["10.30.255.255"], client));
    fixture.egress(virtioFrame(syn("10.19.1.15", "10.30.255.255", 777, 666), {}));
    return fixture;
  }

  test("the instance's answer to 10.19.1.15:777 comes from 10.30.255.255:666 [behaviour 10]", async () => {
    const fixture = await withFlow();
    const result = fixture.ingress({ ...PEER, bytes: syn("10.30.0.50", "10.19.1.15", 666, 777) });
    expectPacket(writtenPacket(result), from("10.30.255.255", 666), to("10.19.1.15", 777), validChecksums());
  });

  test("10.30.0.5:666, which is not the flow's instance, keeps its address (upstream: taken for the answer)", async () => {
    const fixture = await withFlow();
    const stranger = syn("10.30.0.5", "10.19.1.15", 666, 777);
    const result = fixture.ingress({ ...PEER, bytes: stranger });
    expect(writtenPacket(result)).toEqual(stranger);
  });

  test("10.19.2.1:666 to 10.19.1.12:80 is not converted, nor delivered: nobody here has the address (upstream: written to the TUN)", async () => {
    const fixture = await withFlow();
    const result = fixture.ingress({ ...PEER, bytes: syn("10.19.2.1", "10.19.1.12", 666, 80) });
    expect(result.counts).toEqual({ "ingressDrop.notLocalDestination": 1 });
  });

  test("10.19.2.1:666 to a workload of this node is not delivered: its source is no service (upstream: written to the TUN)", async () => {
    const fixture = await withFlow();
    const result = fixture.ingress({ ...PEER, bytes: syn("10.19.2.1", "10.19.1.15", 666, 80) });
    expect(result.counts).toEqual({ "ingressDrop.notServiceSource": 1 });
  });
});

describe("TestOutgoingV6Proxy", () => {
  test("fc00::1:666 to fdff:2000::ff:80 becomes fdff::fd:666 to fd00::12:80", async () => {
    const fixture = await fixtureFor(tables(TARGET, CALLED, CLIENT));
    const result = fixture.egress(virtioFrame(syn("fc00::1", "fdff:2000::ff", 666, 80), {}));
    expectPacket(sentPacket(result), from("fdff::fd", 666), to("fd00::12", 80), validChecksums());
  });

  test("fc00::1:666 to fd00::12:80 is not converted", async () => {
    const fixture = await fixtureFor(tables(TARGET, CALLED, CLIENT));
    const result = fixture.egress(virtioFrame(syn("fc00::1", "fd00::12", 666, 80), {}));
    expect(result.counts).toEqual({ "egressDrop.notServiceAddress": 1 });
  });
});

describe("TestIngoingV6Proxy", () => {
  const client = instance(0, "self", ["10.19.1.15", "fc00::15"], ["10.30.0.51", "fdff::51"]);
  const target = instance(0, "peer", ["10.19.2.1", "fd00::12"], ["10.30.0.50", "fdff::12"]);

  async function withFlow(): Promise<EngineFixture> {
    const fixture = await fixtureFor(tables(target, ["fdff:3000::ff"], client));
    fixture.egress(virtioFrame(syn("fc00::15", "fdff:3000::ff", 777, 666), {}));
    return fixture;
  }

  test("fdff::12:666 to fc00::15:777 comes from fdff:3000::ff", async () => {
    const fixture = await withFlow();
    const result = fixture.ingress({ ...PEER, bytes: syn("fdff::12", "fc00::15", 666, 777) });
    expectPacket(writtenPacket(result), from("fdff:3000::ff", 666), to("fc00::15", 777), validChecksums());
  });

  test("fc00::1:666 to fd00::12:80 is not converted, nor delivered (upstream: written to the TUN)", async () => {
    const fixture = await withFlow();
    const result = fixture.ingress({ ...PEER, bytes: syn("fc00::1", "fd00::12", 666, 80) });
    expect(result.counts).toEqual({ "ingressDrop.notLocalDestination": 1 });
  });
});

test("TestIPv6NextHeader: a SYN with every usual option is TCP, and its options pass unchanged", async () => {
  const client = instance(0, "self", ["10.19.1.2", "fc00::203"], ["10.30.0.2", "fdff::203"]);
  const fixture = await fixtureFor(tables(TARGET, ["fdff:1000::1"], client));
  const options = [2, 4, 0x05, 0x6e, 4, 2, 8, 10, 0x8a, 0x3f, 0x11, 0x0c, 0, 0, 0, 0, 1, 3, 3, 7];
  const original = packet()
    .ipv6({ src: "fc00::203", dst: "fdff:1000::1", hopLimit: 63 })
    .tcp({ sport: 47492, dport: 80, flags: FLAG.SYN, options })
    .bytes();
  expect(original.length).toBe(80);
  expect(original[6]).toBe(6);
  const result = fixture.egress(virtioFrame(original, {}));
  expectPacket(sentPacket(result), from("fdff::203", 47492), validChecksums(), sameBut(original, "addresses"));
});

test("the upstream sample packets, an ACK and a SYN from the tunnel, are delivered unchanged", async () => {
  const local = (number: number, namespace: string): Instance =>
    instance(number, "self", [namespace], [`10.30.9.${number}`]);
  const fixture = await fixtureFor({
    nodes: [{ id: "peer", underlay: PEER, accept: ACCEPT }],
    services: [{ name: "local", addresses: [], instances: [local(1, "10.18.0.136"), local(2, "10.18.0.6")] }],
  });
  const ack = packet().ip("10.30.0.19", "10.18.0.136").tcp({ sport: 43260, dport: 80, flags: FLAG.ACK }).bytes();
  const options = [2, 4, 0x05, 0x82];
  const open = packet().ip("10.30.0.1", "10.18.0.6").tcp({ sport: 46498, dport: 80, flags: FLAG.SYN, options }).bytes();
  const result = fixture.ingress({ ...PEER, port: 38211, bytes: ack }, { ...PEER, port: 38211, bytes: open });
  expect(result.tunWrites.map((write) => packetIn(write))).toEqual([ack, open]);
});

describe("what stops a NetManager does no harm here", () => {
  test("local port 65535, in both directions [defect 2, remedy 1]", async () => {
    const fixture = await fixtureFor(tables(TARGET, CALLED, CLIENT));
    expect(fixture.egress(virtioFrame(syn("10.19.1.1", "10.30.255.255", 65535, 80), {})).datagrams.length).toBe(1);
    const result = fixture.ingress({ ...PEER, bytes: syn("10.30.255.254", "10.19.1.1", 80, 65535) });
    expectPacket(writtenPacket(result), from("10.30.255.255", 80), to("10.19.1.1", 65535));
  });

  test("an empty datagram [defect 1, remedy 1]", async () => {
    const fixture = await fixtureFor(tables(TARGET, CALLED, CLIENT));
    expect(fixture.ingress({ ...PEER, bytes: new Uint8Array(0) }).counts).toEqual({ "ingressDrop.emptyDatagram": 1 });
  });

  test.each([53, 67, 123, 547, 623, 1812, 2152, 3784, 4789, 5060, 6081, 6343])(
    "payload that is not what port %i is for [defect 3, remedy 1]",
    async (dport) => {
      const fixture = await fixtureFor(tables(TARGET, CALLED, CLIENT));
      const original = packet().ip("10.19.1.1", "10.30.255.255").udp({ sport: 5000, dport }).payload("INVITE?").bytes();
      const result = fixture.egress(virtioFrame(original, {}));
      expectPacket(sentPacket(result), to("10.19.2.12", dport), validChecksums(), sameBut(original, "addresses"));
    },
  );

  test("eleven ports of one service from one source port stay eleven flows [defect 6, remedy 4]", async () => {
    const fixture = await fixtureFor(tables(TARGET, CALLED, CLIENT));
    for (let dport = 80; dport < 91; dport++)
      fixture.egress(virtioFrame(syn("10.19.1.1", "10.30.255.255", 666, dport), {}));
    for (let dport = 80; dport < 91; dport++) {
      const result = fixture.ingress({ ...PEER, bytes: syn("10.30.255.254", "10.19.1.1", dport, 666) });
      expectPacket(writtenPacket(result), from("10.30.255.255", dport), to("10.19.1.1", 666));
    }
  });
});
