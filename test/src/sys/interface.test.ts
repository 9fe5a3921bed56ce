// The TUN's interface: what is decided, and what the kernel then shows in a namespace of its own.
import { beforeAll, describe, expect, test } from "vitest";
import { chooseMtu, parseOwnAddresses, parseUnderlay, sysctlsFor } from "../../../src/sys/interface.ts";
import { runInNamespaceWithFolder, tunProblem } from "../../support/namespace.ts";

describe("chooseMtu", () => {
  test.each([
    ["auto", 1500, 1450],
    ["auto", 9000, 8950],
    ["auto", undefined, 1450],
    ["auto", 1300, 1280],
    ["auto", 576, 1280],
    [1400, 1500, 1400],
    [1400, undefined, 1400],
  ] as const)("configured %s over an underlay of %s is %i", (configured, underlay, mtu) => {
    expect(chooseMtu(configured, underlay)).toBe(mtu);
  });
});

describe("parseUnderlay", () => {
  test.each([
    ["nothing", "", undefined],
    ["no interface", "[]", undefined],
    ["empty objects, as iproute2 prints for interfaces that its filter left out", "[{},{}]", undefined],
    ["an interface without MTU", '[{"ifname":"eth0"}]', undefined],
    [
      "an interface",
      '[{},{"ifname":"eth0","mtu":1500,"addr_info":[]}]',
      { device: "eth0", index: 0, mtu: 1500, isUp: false, hasCarrier: false },
    ],
    [
      "a link that is up, on a cable",
      '[{"ifindex":7,"ifname":"eth0","mtu":1500,"flags":["BROADCAST","UP","LOWER_UP"]}]',
      { device: "eth0", index: 7, mtu: 1500, isUp: true, hasCarrier: true },
    ],
    [
      "a link that is up, without carrier",
      '[{"ifindex":7,"ifname":"eth0","mtu":1500,"flags":["NO-CARRIER","BROADCAST","UP"]}]',
      { device: "eth0", index: 7, mtu: 1500, isUp: true, hasCarrier: false },
    ],
  ])("reads %s", (_what, json, underlay) => {
    expect(parseUnderlay(json)).toEqual(underlay);
  });
});

test("the node's own addresses are those that others can reach, each once", () => {
  const of = (local: string, scope: string) => ({ local, scope });
  const json = JSON.stringify([
    { ifname: "lo", addr_info: [of("127.0.0.1", "host"), of("::1", "host")] },
    {},
    { ifname: "eth0", addr_info: [of("192.0.2.11", "global"), of("2001:db8:0::11", "global"), of("fe80::1", "link")] },
    { ifname: "br0", addr_info: [of("10.18.3.254", "global"), of("192.0.2.11", "global"), of("fc00::fe", "site")] },
  ]);
  expect(parseOwnAddresses(json)).toEqual(["10.18.3.254", "192.0.2.11", "2001:db8::11", "fc00::fe"]);
  expect(parseOwnAddresses("")).toEqual([]);
});

describe("sysctlsFor", () => {
  const options = { device: "tun.7", mtu: 1450, underlayDevice: "eth0", stateFile: "" };

  test("without an IPv6 range leaves IPv6 alone", () => {
    const paths = sysctlsFor({ ...options, ranges: ["10.30.0.0/16"] }).map(({ path }) => path);
    expect(paths).toEqual(["net/ipv4/ip_forward", "net/ipv4/conf/tun.7/rp_filter"]);
  });

  test("keeps router advertisements before IPv6 forwarding would end them", () => {
    const paths = sysctlsFor({ ...options, ranges: ["10.30.0.0/16", "fdff::/16"] }).map(({ path }) => path);
    const acceptRa = paths.indexOf("net/ipv6/conf/eth0/accept_ra");
    expect(acceptRa).toBeGreaterThan(0);
    expect(paths.indexOf("net/ipv6/conf/all/forwarding")).toBeGreaterThan(acceptRa);
  });
});

interface State {
  readonly mtu: number;
  readonly queueLength: number;
  readonly isUp: boolean;
  readonly routes: readonly string[];
  readonly addresses: number;
  readonly forwarding: readonly string[];
  readonly acceptRa: string;
  readonly hasStateFile: boolean;
}

interface Results {
  readonly underlays: readonly unknown[];
  readonly unknownUnderlay: boolean;
  readonly open: State;
  readonly closeFailures: readonly unknown[];
  readonly closed: State;
  readonly taken: { readonly code: string; readonly message: string };
  readonly afterTaken: State;
  readonly refused: { readonly code: string; readonly message: string };
  readonly afterRefused: State;
  readonly crash: { readonly signal: string; readonly forwarding: readonly string[]; readonly hasStateFile: boolean };
  readonly reopened: State;
  readonly reclosed: State;
}

describe.skipIf(tunProblem !== undefined)(`in a network namespace${tunProblem ? ` (${tunProblem})` : ""}`, () => {
  const untouched = { isUp: false, routes: [], forwarding: ["0", "0"], acceptRa: "1", hasStateFile: false };
  const inForce = {
    mtu: 1400,
    queueLength: 4096,
    isUp: true,
    routes: ["10.30.0.0/16", "fdff::/16"],
    addresses: 0,
    forwarding: ["1", "1"],
    acceptRa: "2",
    hasStateFile: true,
  };
  let results: Results;

  beforeAll(() => {
    results = runInNamespaceWithFolder(new URL("./in-namespace/interface.mjs", import.meta.url)) as Results;
  });

  test("the underlay is found by its IPv4 and its IPv6 address", () => {
    const underlay = { device: "under0", mtu: 1500 };
    expect(results.underlays).toMatchObject([underlay, underlay]);
    expect(results.unknownUnderlay).toBe(true);
  });

  test("the interface is up, routed to and without an address of its own", () => {
    expect(results.open).toMatchObject(inForce);
  });

  test("close() restores everything, the second one nothing", () => {
    expect(results.closed).toMatchObject(untouched);
    expect(results.closeFailures).toEqual([[], []]);
  });

  test("a range that another interface has is refused before anything is changed", () => {
    expect(results.taken.code).toBe("network-setup");
    expect(results.taken.message).toContain('service range fdff::/16 must be free to be routed into "swtest0"');
    expect(results.taken.message).toContain('"under1"');
    expect(results.afterTaken).toMatchObject(untouched);
  });

  test("a command that fails half-way leaves nothing of what was done before it", () => {
    expect(results.refused.code).toBe("network-setup");
    expect(results.refused.message).toContain('"ip route add 10.31.0.1/16 dev swtest0" failed');
    expect(results.afterRefused).toMatchObject(untouched);
  });

  test("after kill -9 the next run starts, and restores what held before the first", () => {
    expect(results.crash).toMatchObject({ signal: "SIGKILL", forwarding: ["1", "1"], hasStateFile: true });
    expect(results.reopened).toMatchObject(inForce);
    expect(results.reclosed).toMatchObject(untouched);
  });
});
