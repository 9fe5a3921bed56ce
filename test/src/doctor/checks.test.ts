// Findings about facts, without a machine.

import { describe, expect, test } from "vitest";
import { clockFindings } from "../../../src/doctor/checks/clock.ts";
import { kernelFindings, rightsFindings, toolFindings, tunFindings } from "../../../src/doctor/checks/machine.ts";
import {
  forwardingFindings,
  mtuFindings,
  portFindings,
  reversePathFindings,
} from "../../../src/doctor/checks/network.ts";
import { peerFindings } from "../../../src/doctor/checks/peers.ts";
import { configFindings, proxyFindings } from "../../../src/doctor/checks/proxy.ts";
import type { Finding } from "../../../src/doctor/finding.ts";
import { FakeSource } from "../../support/control-source.ts";
import { STATUS } from "../../support/sample-reports.ts";

function told(findings: readonly Finding[]): string[] {
  return findings.map(({ state, message, advice }) => `${state}: ${message}${advice === null ? "" : ` -> ${advice}`}`);
}

const WELL = {
  ...STATUS,
  lastReload: undefined,
  workers: [{ index: 0, restarts: 0 }],
  config: { file: "/n.yaml", isFollowed: true },
};

test("a proxy runs, restarts its workers, is elsewhere, or is none", () => {
  const socket = "/s";
  expect(told(proxyFindings({ socket, status: WELL, isHere: true }))).toEqual([
    "ok: process 4711 runs node-a, sapwood 1.2.3",
  ]);
  expect(told(proxyFindings({ socket, status: STATUS, isHere: true }))[0]).toMatch(
    /^wrong: its workers were restarted 2 times/,
  );
  expect(told(proxyFindings({ socket, status: WELL, isHere: false }))[0]).toContain(
    "nsenter --net=/proc/4711/ns/net sapwood doctor --socket /s",
  );
  expect(told(proxyFindings({ socket, status: undefined, isHere: true }))[0]).toMatch(/^ok: none runs at \/s/);
});

test("a configuration is valid, unreadable, not followed, refused, or not in force", () => {
  const facts = { file: "/n.yaml", problem: undefined, status: WELL };
  const refused = { code: "not-found", message: "There is no instance 7.", details: [] } as const;
  const command = { at: "", source: "control socket", ok: false, generation: 2, needRestart: [], error: refused };
  expect(told(configFindings(facts))).toEqual(["ok: /n.yaml is valid"]);
  expect(told(configFindings({ ...facts, problem: "line 3: no" }))).toEqual([
    "wrong: line 3: no -> sapwood check /n.yaml",
  ]);
  expect(told(configFindings({ ...facts, status: STATUS }))).toEqual([
    expect.stringMatching(/^wrong: \/etc\/sapwood\/node.yaml is not followed/),
    expect.stringMatching(/^wrong: the last change was refused: .* -> sapwood check /),
  ]);
  const changed = { ...WELL, config: { ...WELL.config, needRestart: ["tun.mtu"] } };
  expect(told(configFindings({ ...facts, status: changed }))).toEqual([
    "wrong: changed and not in force: tun.mtu -> systemctl restart sapwood",
  ]);
  expect(told(configFindings({ ...facts, status: { ...WELL, lastReload: command } }))).toEqual([
    "ok: /n.yaml is valid",
  ]);
});

test("programs that are missing are told with their packages, each once", () => {
  const ip = { program: "ip", package: "iproute2" };
  expect(told(toolFindings({ missing: [ip, { program: "ss", package: "iproute2" }] }))).toEqual([
    "wrong: missing: ip, ss -> apt-get install iproute2",
  ]);
});

test("rights are asked for as the port needs them", () => {
  const facts = { isProxy: false, hasNetAdmin: true, hasBindService: false, port: 50103 };
  expect(told(rightsFindings(facts))).toEqual(["ok: this user has the capabilities"]);
  expect(told(rightsFindings({ ...facts, port: 443 }))[0]).toMatch(/^wrong: .*CAP_NET_BIND_SERVICE for port 443/);
  expect(told(rightsFindings({ ...facts, isProxy: true, hasNetAdmin: false }))[0]).toMatch(
    /^wrong: the proxy lacks CAP_NET_ADMIN /,
  );
});

test("a TUN is up, down, changed by somebody, or not to be had", () => {
  const network = { isUp: true, routes: ["10.30.0.0/16"], problems: [], repairs: 0 };
  const facts = { name: "t0", network, problem: undefined };
  expect(told(tunFindings(facts))).toEqual(["ok: t0 is up, with 10.30.0.0/16 routed into it"]);
  expect(told(tunFindings({ ...facts, network: { ...network, isUp: false } }))).toEqual([
    "wrong: t0 is down -> ip link set dev t0 up",
  ]);
  expect(told(tunFindings({ ...facts, network: { ...network, problems: ["A.", "B."] } }))).toHaveLength(2);
  const problem = { message: "may not", isOfRights: true };
  expect(told(tunFindings({ name: "t0", network: undefined, problem }))).toEqual([
    "wrong: may not -> sudo sapwood doctor",
  ]);
  expect(
    told(tunFindings({ name: "t0", network: undefined, problem: { ...problem, isOfRights: false } }))[0],
  ).toContain("modprobe tun");
});

test("an offload that the kernel lacks is told and is no fault", () => {
  const offloads = [{ name: "tun-udp", on: false, reason: "Linux before 6.2 has no USO" }];
  expect(told(kernelFindings({ release: "6.1", offloads }))[1]).toMatch(
    /^ok: tun-udp is off \(Linux before 6.2 has no USO\)/,
  );
});

describe("MTUs", () => {
  const facts = {
    address: "192.0.2.1",
    underlay: { device: "eth0", mtu: 1500 },
    tun: { name: "t0", mtu: 1450 },
    isEncrypted: false,
  };

  test.each([
    ["fits with IPv4 headers", { tun: { name: "t0", mtu: 1472 } }, "ok"],
    ["does not by a byte", { tun: { name: "t0", mtu: 1473 } }, "wrong"],
    ["fits with IPv6 headers", { address: "2001:db8::1", tun: { name: "t0", mtu: 1452 } }, "ok"],
    ["does not by a byte", { address: "2001:db8::1", tun: { name: "t0", mtu: 1453 } }, "wrong"],
    ["does not inside WireGuard", { isEncrypted: true }, "wrong"],
  ])("a packet %s", (_, changes, state) => {
    expect(mtuFindings({ ...facts, ...changes })[0]?.state).toBe(state);
  });

  test("what to type is what fits", () => {
    expect(told(mtuFindings({ ...facts, underlay: { device: "eth0", mtu: 1400 } }))[0]).toMatch(
      /-> ip link set dev eth0 mtu 1478 # or configure tun\.mtu: 1372$/,
    );
    expect(told(mtuFindings({ ...facts, underlay: { device: "eth0", mtu: 1280 } }))[0]).toMatch(
      /-> ip link set dev eth0 mtu 1478$/,
    );
    expect(told(mtuFindings({ ...facts, underlay: undefined }))[0]).toMatch(
      /^wrong: no interface has the node's address 192\.0\.2\.1/,
    );
  });
});

test("forwarding counts while a proxy runs, and is switched on by its start", () => {
  const parameters = [{ path: "net/ipv4/ip_forward", wanted: "1", found: "0" }];
  expect(told(forwardingFindings({ isRunning: true, parameters }))).toEqual([
    "wrong: net/ipv4/ip_forward must be 1, found 0 -> sysctl -w net/ipv4/ip_forward=1",
  ]);
  expect(forwardingFindings({ isRunning: false, parameters })[0]?.state).toBe("ok");
  expect(
    forwardingFindings({ isRunning: true, parameters: [{ path: "p", wanted: "1", found: undefined }] })[0]?.state,
  ).toBe("ok");
});

describe("reverse paths", () => {
  const sender = { address: "192.0.2.12", wayBack: ["eth0"] };
  const eth0 = { device: "eth0", own: 0, senders: [sender], mustBeLoose: false };

  test.each([
    ["a strict check that passes", 1, eth0, []],
    ["no check", 0, { ...eth0, senders: [{ ...sender, wayBack: ["eth1"] }] }, []],
    ["a loose check", 2, { ...eth0, own: 1, senders: [{ ...sender, wayBack: [] }] }, []],
    ["a strict check of all", 1, { ...eth0, senders: [{ ...sender, wayBack: ["eth1"] }] }, ["all"]],
    ["a strict check there", 0, { ...eth0, own: 1, senders: [sender, { ...sender, wayBack: ["eth1"] }] }, ["eth0"]],
    ["a strict check of the TUN", 1, { device: "t0", own: 0, senders: [], mustBeLoose: true }, ["all"]],
  ])("%s", (_, all, one, places) => {
    const advice = reversePathFindings({ all, interfaces: [one] }).flatMap((finding) => finding.advice ?? []);
    expect(advice).toEqual(places.map((place) => `sysctl -w net/ipv4/conf/${place}/rp_filter=2`));
  });
});

test("a port is the proxy's, free, taken, or not this machine's", () => {
  const facts = { port: 7, isRunning: false, problem: undefined, holders: [] };
  const taken = { code: "port-in-use", message: "" };
  expect(told(portFindings({ ...facts, isRunning: true }))).toEqual(["ok: the proxy has UDP port 7"]);
  expect(told(portFindings(facts))).toEqual(["ok: UDP port 7 is free"]);
  expect(told(portFindings({ ...facts, problem: taken, holders: [{ pid: 12, name: "nc" }] }))[0]).toMatch(
    /^wrong: UDP port 7 is taken by process 12 \(nc\) -> kill 12/,
  );
  expect(told(portFindings({ ...facts, problem: taken }))[0]).toMatch(/^wrong: UDP port 7 is taken -> ss --udp/);
  expect(told(portFindings({ ...facts, problem: { code: "network-setup", message: "no" } }))[0]).toMatch(
    /^wrong: no -> /,
  );
});

test("a clock matters where WireGuard's peers believe it", () => {
  const state = (isSynchronised: boolean | undefined, jumpMs: number | undefined, isEncrypted: boolean) =>
    clockFindings({ isSynchronised, jumpMs, isEncrypted }).map((finding) => finding.state);
  expect(state(false, undefined, false)).toEqual(["ok"]);
  expect(state(false, undefined, true)).toEqual(["unseen"]);
  expect(state(undefined, 500, true)).toEqual(["ok"]);
  expect(state(true, -1500, true)).toEqual(["wrong"]);
  expect(state(true, -1500, false)).toEqual(["ok"]);
  expect(state(true, 1500, true)).toEqual(["ok"]);
});

describe("peers", () => {
  const [reachable, unknown] = new FakeSource().nodes();
  const facts = { kind: "measured", uptimeMs: 60_000, tunMtu: 1450, acceptsStrangers: false } as const;
  if (reachable === undefined || unknown === undefined) throw new Error("expected two nodes");

  test("those that do not answer come first", () => {
    const lost = { ...reachable, id: "node-x", state: "lost" as const, stateAgeMs: 4200 };
    expect(told(peerFindings({ ...facts, nodes: [reachable, lost] }))).toEqual([
      expect.stringMatching(/^wrong: node-x does not answer any more for 4 s -> /),
      "ok: node-c answers in 0.250 ms, path MTU 1372: larger packets are told so by ICMP",
    ]);
  });

  test("one that never answered is another make where strangers are heard, and may be slow at the start", () => {
    const states = (changes: object) =>
      peerFindings({ ...facts, nodes: [unknown], ...changes }).map(({ state }) => state);
    expect(states({})).toEqual(["wrong"]);
    expect(states({ acceptsStrangers: true })).toEqual(["ok"]);
    expect(states({ uptimeMs: 100 })).toEqual(["unseen"]);
  });

  test("a way too narrow for IPv6 is wrong", () => {
    expect(peerFindings({ ...facts, nodes: [{ ...reachable, mtu: 1279 }] })[0]?.state).toBe("wrong");
    expect(peerFindings({ ...facts, nodes: [{ ...reachable, mtu: 1280 }] })[0]?.state).toBe("ok");
  });

  test("very many that are well are one line", () => {
    const nodes = Array.from({ length: 1000 }, (_, i) => ({ ...reachable, id: `node-${i}` }));
    expect(told(peerFindings({ ...facts, nodes }))).toEqual(["ok: 1000 other nodes answer"]);
  });

  test("those that this command asked itself", () => {
    const peers = [
      { id: "b", rttMs: 0.5 },
      { id: "c", rttMs: undefined },
    ];
    expect(told(peerFindings({ kind: "asked", peers }))).toEqual([
      "wrong: c does not answer -> on c: sapwood doctor",
      "ok: b answers in 0.500 ms",
    ]);
    expect(peerFindings({ kind: "unasked", reason: "none" })[0]?.state).toBe("unseen");
    expect(told(peerFindings({ kind: "asked", peers: [] }))).toEqual(["ok: there are no other nodes"]);
  });
});
