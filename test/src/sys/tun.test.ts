// TUN devices: the sentences of failures, the settling of offloads, and real devices in a namespace of its own.
import { beforeAll, describe, expect, test } from "vitest";
import type { OffloadState, SwitchedOff } from "../../../src/sys/offload.ts";
import { attachFailure, openFailure, settleOffloads, type TunKernel } from "../../../src/sys/tun.ts";
import { runInNamespace, tunProblem } from "../../support/namespace.ts";

const CSUM = 0x01;
const TSO = 0x06;
const USO = 0x60;
const EINVAL = -22;
const NONE: SwitchedOff = {};
const NO_TCP: SwitchedOff = { "tun-tcp": "nobody wants it" };
const NO_UDP: SwitchedOff = { "tun-udp": "nobody wants it" };

describe("openFailure", () => {
  test.each([
    [-2, "tun-unavailable", "/dev/net/tun is missing (ENOENT)"],
    [-6, "tun-unavailable", "/dev/net/tun has no driver (ENXIO)"],
    [-19, "tun-unavailable", "/dev/net/tun has no driver (ENODEV)"],
    [-13, "missing-rights", "/dev/net/tun may not be opened (EACCES)"],
    [-1, "missing-rights", "/dev/net/tun may not be opened (EPERM)"],
    [-24, "tun-unavailable", "Opening /dev/net/tun failed with EMFILE"],
  ])("errno %i is %s", (errno, code, start) => {
    const failure = openFailure(errno);
    expect(failure.code).toBe(code);
    expect(failure.message.startsWith(start)).toBe(true);
  });
});

describe("attachFailure", () => {
  test.each([
    [-1, "missing-rights", "CAP_NET_ADMIN"],
    [-16, "tun-unavailable", "a device of that name exists"],
    [-22, "tun-unavailable", "(EINVAL)"],
    [-7, "tun-unavailable", 'TUNSETIFF for queue 3 of "sw0" failed with E2BIG.'],
  ])("errno %i is %s", (errno, code, part) => {
    const failure = attachFailure(errno, "sw0", 3);
    expect(failure.code).toBe(code);
    expect(failure.message).toContain(part);
  });
});

describe("settleOffloads", () => {
  /** A kernel that knows some flags and takes super-packets; remembers what it was told last and accepted. */
  function kernel(known: number): TunKernel & { inForce: () => number } {
    let inForce = 0;
    return {
      tcpWrite: 0,
      udpWrite: 0,
      set: (flags) => {
        if ((flags & ~known) !== 0) return EINVAL;
        inForce = flags;
        return 0;
      },
      inForce: () => inForce,
    };
  }

  const on = (states: readonly OffloadState[]): string[] => states.filter((state) => state.on).map(({ name }) => name);

  test.each([
    ["all that it knows", CSUM | TSO | USO, NONE, CSUM | TSO | USO, ["tun-checksum", "tun-tcp", "tun-udp"]],
    ["TCP where USO is unknown", CSUM | TSO, NONE, CSUM | TSO, ["tun-checksum", "tun-tcp"]],
    ["UDP where TSO is refused", CSUM | USO, NONE, CSUM | USO, ["tun-checksum", "tun-udp"]],
    ["checksums alone", CSUM, NONE, CSUM, ["tun-checksum"]],
    ["nothing without checksums", TSO | USO, NONE, 0, []],
    ["no TCP when it is switched off", 0xff, NO_TCP, CSUM | USO, ["tun-checksum", "tun-udp"]],
    ["no UDP when it is switched off", 0xff, NO_UDP, CSUM | TSO, ["tun-checksum", "tun-tcp"]],
  ])("the kernel gets %s", (_what, known, switchedOff, flags, names) => {
    const asked = kernel(known);
    expect(on(settleOffloads(switchedOff, asked))).toEqual(names);
    expect(asked.inForce()).toBe(flags);
  });

  test.each([
    ["tun-tcp", { tcpWrite: EINVAL }, CSUM | USO],
    ["tun-udp", { udpWrite: EINVAL }, CSUM | TSO],
  ])("%s stays off where the kernel refuses such super-packets", (name, refusal, flags) => {
    const asked = kernel(0xff);
    const states = settleOffloads(NONE, { ...asked, ...refusal });
    expect(states.find((state) => state.name === name)).toEqual({
      name,
      on: false,
      reason: "writing a super-packet to the TUN failed with EINVAL",
    });
    expect(asked.inForce()).toBe(flags);
  });

  test("an offload that is off says why", () => {
    const states = settleOffloads(NO_TCP, kernel(CSUM | TSO));
    expect(states.map(({ reason }) => reason)).toEqual([
      "in force",
      "nobody wants it",
      "TUNSETOFFLOAD failed with EINVAL, Linux before 6.2 has no USO",
    ]);
  });
});

interface Opened {
  readonly fds?: number;
  readonly distinct?: number;
  readonly offloads?: readonly OffloadState[];
  readonly code?: string;
  readonly message?: string;
}

describe.skipIf(tunProblem !== undefined)(`in a network namespace${tunProblem ? ` (${tunProblem})` : ""}`, () => {
  let results: Readonly<Record<string, Opened>> & {
    readonly offers: Readonly<Record<string, string>>;
  };

  beforeAll(() => {
    results = runInNamespace(new URL("./in-namespace/tun.mjs", import.meta.url)) as typeof results;
  });

  test("each queue has a descriptor of its own", () => {
    expect(results.one).toMatchObject({ fds: 1, distinct: 1 });
    expect(results.three).toMatchObject({ fds: 3, distinct: 3 });
  });

  test("the kernel takes checksum and TCP offload", () => {
    expect(results.one?.offloads?.slice(0, 2)).toEqual([
      { name: "tun-checksum", on: true, reason: "in force" },
      { name: "tun-tcp", on: true, reason: "in force" },
    ]);
  });

  test.each([
    ["withoutTcp", "tun-tcp"],
    ["withoutUdp", "tun-udp"],
  ])("%s switches %s off and nothing else", (which, name) => {
    const reason = "nobody wants it";
    const changed = results.one?.offloads?.map((state) => (state.name === name ? { name, on: false, reason } : state));
    expect(results[which]?.offloads).toEqual(changed);
  });

  test("offloads can be settled anew while the device is open and up", () => {
    expect(results.resettled?.offloads).toEqual(results.withoutTcp?.offloads);
    expect(results.restored?.offloads).toEqual(results.one?.offloads);
  });

  test("the kernel refuses a super-packet with a wrong virtio_net_hdr, which the question would tell", () => {
    expect(results.offers).toEqual({ tcp: "EIO", udp: "EIO", broken: "EINVAL" });
  });

  test("a device that exists is not shared", () => {
    expect(results.heldTwice).toMatchObject({ code: "tun-unavailable" });
    expect(results.heldTwice?.message).toContain('The TUN "swtest0" cannot be created (EBUSY)');
    expect(results.closedHeld).toBe(0);
  });

  test("a name that is too long is refused by its length", () => {
    expect(results.longName?.message).toBe(`The TUN's name must have 1 to 15 bytes; "a-name-of-16-byt" has 16.`);
  });
});
