// Switching against devices that remember what they were told, and what the engine might do at that moment.
import { beforeEach, describe, expect, test } from "vitest";
import * as HeaderLayout from "../../../../assembly/shared/layout/header.ts";
import { type OffloadHolder, OffloadSwitch } from "../../../../src/dataplane/worker/offload-switch.ts";
import { createSharedMemory, type SharedMemory } from "../../../../src/memory/shared-memory.ts";
import { parsePrefix } from "../../../../src/net/address.ts";
import {
  type OffloadState,
  offloadOff,
  offloadOn,
  type SwitchableOffload,
  type SwitchedOff,
} from "../../../../src/sys/offload.ts";

const ALL = HeaderLayout.OFFLOAD_TUN_TCP | HeaderLayout.OFFLOAD_TUN_UDP | HeaderLayout.OFFLOAD_UDP_GSO;
const CONFIGURED = "switched off in the configuration";
const COMMANDED = "switched off by `sapwood offload`";

let shared: SharedMemory;
/** What the engine was allowed to do each time a device was told, in this order. */
let allowedWhenTold: number[];

beforeEach(() => {
  shared = createSharedMemory({
    capacities: { flows: 10, addresses: 10, instances: 10, workloads: 10, nodes: 10, workers: 1 },
    ranges: [parsePrefix("10.30.0.0/16")],
  });
  allowedWhenTold = [];
});

function allowed(): number {
  return Atomics.load(shared.i32, (HeaderLayout.AT + HeaderLayout.OFFLOADS) >>> 2);
}

class Device implements OffloadHolder {
  offloads: readonly OffloadState[];
  readonly #names: readonly SwitchableOffload[];
  readonly #refused: SwitchedOff;

  constructor(names: readonly SwitchableOffload[], switchedOff: SwitchedOff, refused: SwitchedOff = {}) {
    this.#names = names;
    this.#refused = refused;
    this.offloads = this.#settle(switchedOff);
  }

  settleOffloads(switchedOff: SwitchedOff): readonly OffloadState[] {
    allowedWhenTold.push(allowed());
    this.offloads = this.#settle(switchedOff);
    return this.offloads;
  }

  #settle(switchedOff: SwitchedOff): OffloadState[] {
    return this.#names.map((name) => {
      const reason = switchedOff[name] ?? this.#refused[name];
      return reason === undefined ? offloadOn(name) : offloadOff(name, reason);
    });
  }
}

function open(switchedOff: SwitchedOff = {}, refusedByLast: SwitchedOff = {}): OffloadSwitch {
  const tun = new Device(["tun-tcp", "tun-udp"], switchedOff, refusedByLast);
  const first = new Device(["udp-gso", "udp-gro"], switchedOff);
  const last = new Device(["udp-gso", "udp-gro"], switchedOff, refusedByLast);
  return new OffloadSwitch({ shared, tun, sockets: [first, last], switchedOff });
}

function stateOf(offloads: OffloadSwitch, name: SwitchableOffload): OffloadState | undefined {
  return offloads.states.find((state) => state.name === name);
}

describe("at the start", () => {
  test("the engine may use what is in force", () => {
    open();
    expect(allowed()).toBe(ALL);
    open({ "tun-udp": CONFIGURED, "udp-gso": CONFIGURED });
    expect(allowed()).toBe(HeaderLayout.OFFLOAD_TUN_TCP);
  });

  test("every offload has one state, with the reason of the socket that does not take part", () => {
    const refused = "UDP_GRO: ENOPROTOOPT";
    expect(open({ "tun-tcp": CONFIGURED }, { "udp-gro": refused }).states).toEqual([
      offloadOff("tun-tcp", CONFIGURED),
      offloadOn("tun-udp"),
      offloadOn("udp-gso"),
      offloadOff("udp-gro", refused),
    ]);
  });
});

describe("switching", () => {
  const bits: [SwitchableOffload, number][] = [
    ["tun-tcp", HeaderLayout.OFFLOAD_TUN_TCP],
    ["tun-udp", HeaderLayout.OFFLOAD_TUN_UDP],
    ["udp-gso", HeaderLayout.OFFLOAD_UDP_GSO],
  ];

  test.each(bits)("%s off stops the engine before the kernel is told, on begins after it", (name, bit) => {
    const offloads = open();
    offloads.set(name, false);
    expect(allowedWhenTold).toEqual([ALL & ~bit, ALL & ~bit, ALL & ~bit]); // the TUN and both sockets
    expect(allowed()).toBe(ALL & ~bit);
    expect(stateOf(offloads, name)).toEqual(offloadOff(name, COMMANDED));

    allowedWhenTold = [];
    offloads.set(name, true);
    expect(allowedWhenTold).toEqual([ALL & ~bit, ALL & ~bit, ALL & ~bit]);
    expect(allowed()).toBe(ALL);
    expect(stateOf(offloads, name)).toEqual(offloadOn(name));
  });

  test("udp-gro off warns the engine of joined datagrams that do not say so, before the kernel is told", () => {
    const offloads = open();
    offloads.set("udp-gro", false);
    expect(allowedWhenTold).toEqual(Array(3).fill(ALL | HeaderLayout.OFFLOAD_GRO_ENDED));
    expect(allowed()).toBe(ALL | HeaderLayout.OFFLOAD_GRO_ENDED);
    offloads.set("udp-gro", false);
    expect(allowed()).toBe(ALL | HeaderLayout.OFFLOAD_GRO_ENDED);
    offloads.set("udp-gro", true);
    expect(allowed()).toBe(ALL);
  });

  test("udp-gro that never was in force joined nothing", () => {
    const offloads = open({ "udp-gro": CONFIGURED });
    offloads.set("udp-gro", false);
    expect(allowed()).toBe(ALL);
  });

  test("udp-gso on, and nothing else, forgets which nodes refused it", () => {
    const trial = () => Atomics.load(shared.i32, (HeaderLayout.AT + HeaderLayout.GSO_TRIAL) >>> 2);
    const offloads = open();
    const before = trial();
    offloads.set("udp-gso", false);
    offloads.set("udp-gro", false);
    offloads.set("udp-gro", true);
    expect(trial()).toBe(before);
    offloads.set("udp-gso", true);
    expect(trial()).toBe(before + 1);
    offloads.set("udp-gso", true); // it was on for all but the nodes that refused it
    expect(trial()).toBe(before + 2);
  });

  test("one leaves the others as they are", () => {
    const offloads = open({ "tun-udp": CONFIGURED });
    offloads.set("tun-tcp", false);
    offloads.set("udp-gso", false);
    offloads.set("tun-tcp", true);
    expect(offloads.states).toEqual([
      offloadOn("tun-tcp"),
      offloadOff("tun-udp", CONFIGURED),
      offloadOff("udp-gso", COMMANDED),
      offloadOn("udp-gro"),
    ]);
  });

  test("on what the configuration switched off", () => {
    const offloads = open({ "tun-udp": CONFIGURED });
    offloads.set("tun-udp", true);
    expect(stateOf(offloads, "tun-udp")).toEqual(offloadOn("tun-udp"));
    expect(allowed()).toBe(ALL);
  });

  test("on what the kernel refuses is an error that says why, and stays off", () => {
    const refused = "TUNSETOFFLOAD failed with EINVAL";
    const offloads = open({ "tun-udp": CONFIGURED }, { "tun-udp": refused });
    expect(() => offloads.set("tun-udp", true)).toThrow(`The offload tun-udp stays off: ${refused}.`);
    expect(stateOf(offloads, "tun-udp")).toEqual(offloadOff("tun-udp", refused));
    expect(allowed()).toBe(ALL & ~HeaderLayout.OFFLOAD_TUN_UDP);
  });
});
