// The packets by which an engine is tried: their answers against the slow twin, and engines that must not pass.
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { tryEngine } from "../../../../src/dataplane/modules/module-trial.ts";
import {
  SELF_TEST_NODE,
  SELF_TEST_PEER,
  SELF_TEST_RANGES,
  SELF_TEST_SERVICES,
  SELF_TEST_STEPS,
} from "../../../../src/dataplane/modules/self-test.ts";
import { builtModulePath, checkBytes, ENGINE_SHAPE } from "../../../../src/dataplane/modules/wasm.ts";
import { EngineFixture } from "../../../support/engine-fixture.ts";
import { type Fault, faultyEngines } from "../../../support/faulty-engines.ts";

test("the answers are those of the slow twin", async () => {
  const { id, ...endpoint } = SELF_TEST_PEER;
  const fixture = await EngineFixture.create({
    nodeId: SELF_TEST_NODE,
    ranges: SELF_TEST_RANGES,
    tables: { nodes: [{ id, underlay: endpoint }], services: SELF_TEST_SERVICES },
  });
  for (const { what, from, bytes, toTunnel = "", toTun = "", drops = 0 } of SELF_TEST_STEPS) {
    const packet = Buffer.from(bytes, "hex");
    const result = from === "tun" ? fixture.egress(packet) : fixture.ingress({ bytes: packet, ...endpoint });
    const hex = (parts: readonly Uint8Array[]): string => Buffer.concat(parts).toString("hex");
    expect(hex(result.datagrams.map((datagram) => datagram.bytes)), what).toBe(toTunnel);
    expect(hex(result.frames), what).toBe(toTun);
    const dropped = Object.entries(result.counts).filter(([name]) => /^(?:e|in)gressDrop\./.test(name));
    expect(
      dropped.reduce((sum, [, count]) => sum + count, 0),
      what,
    ).toBe(drops);
  }
});

const BUILT = readFileSync(builtModulePath("engine"));

test("the engine of the package passes", async () => {
  await expect(tryEngine({ bytes: BUILT, inForce: BUILT })).resolves.toBeUndefined();
});

/** Where the engine translates a frame; the fault drops some of those that it would send on. */
const EGRESS_FRAME = /egressFrame\(at, length, nowMs\)/;
const dropping = (frames: string) => (isFaulty: string) =>
  `(${isFaulty} && load<u8>(at + 10) == 0x45 && ${frames} ? DropReason.wrongNode : $&)`;
const ENGINE = "assembly/engine.ts";

/** Faults that the self-test's own steps find. */
const WRONG: readonly (Fault & { readonly what: string; readonly says: RegExp })[] = [
  {
    what: "is built for another layout",
    file: ENGINE,
    before: /return LAYOUT_VERSION;/,
    after: (isFaulty) => `return ${isFaulty} ? 9999 : LAYOUT_VERSION;`,
    says: /built for layout version \d+; found version 9999/,
  },
  {
    what: "leaves checksums as they were",
    file: "assembly/checksum/incremental.ts",
    before: /export function addressDelta\([^)]*\): u64 \{/,
    after: (isFaulty) => `$& if (${isFaulty}) return 0;`,
    says: /self-test, at a UDP packet that begins a flow: expected [0-9a-f]+ for the tunnel, found/,
  },
  {
    what: "finds no flow of another one",
    file: "assembly/table/hash.ts",
    before: /load<u64>\(m, 80\) \+ protocol/,
    after: (isFaulty) => `$& + <u64>${isFaulty}`,
    says: /self-test on the flows of the engine in force, at a TCP answer/,
  },
  {
    what: "does not return",
    file: ENGINE,
    before: /const nowMs = begin\(nowUs\);\n {2}if \(isWorthwhile/,
    after: (isFaulty) => `while ${isFaulty} {}\n  $&`,
    says: /ended the process in which it was tried \(the processor time for its trial was up\)/,
  },
];

/** Faults that show only beside the engine in force; each is what it does otherwise. */
const OTHERWISE: readonly (Fault & { readonly what: string })[] = [
  {
    what: "UDP of more than 200 bytes",
    file: ENGINE,
    before: EGRESS_FRAME,
    after: dropping("load<u8>(at + 10, 9) == 17 && length > 238"),
  },
  {
    what: "TCP to port 443",
    file: ENGINE,
    before: EGRESS_FRAME,
    after: dropping("load<u8>(at + 10, 9) == 6 && load<u16>(at + 10, 22) == 0xbb01"),
  },
  {
    what: "a frame in the middle of a batch",
    file: ENGINE,
    before: /const reason = /,
    after: (isFaulty) => `if (${isFaulty} && slot == 5) continue;\n    $&`,
  },
  {
    what: "a message in the middle of a batch",
    file: ENGINE,
    before: /slot < end && hasRoom\(messagePackets\(slot\)\); slot\+\+\)/,
    after: (isFaulty) => `$& if (!${isFaulty} || slot != 7)`,
  },
  {
    what: "flows that are idle",
    file: ENGINE,
    before: /sweepFlows\(nowMs, budget\)/,
    after: (isFaulty) => `(${isFaulty} ? 0 : $&)`,
  },
  {
    what: "what the kernel refuses",
    file: ENGINE,
    before: /export function udpRejected\(.*\{/,
    after: (isFaulty) => `$& if (${isFaulty} && errno == EINVAL) return 0;`,
  },
];

function titled<T extends { readonly what: string }>(cases: readonly T[]): [string, T][] {
  return cases.map((one) => [one.what, one]);
}

describe("an engine does not pass", () => {
  let engines: Awaited<ReturnType<typeof faultyEngines>>;

  beforeAll(async () => {
    engines = await faultyEngines([...WRONG, ...OTHERWISE]);
  });

  test("only for its fault: the one that they all are made from passes", async () => {
    await expect(tryEngine({ bytes: engineWith(undefined), inForce: BUILT })).resolves.toBeUndefined();
  });

  test.each(titled(WRONG))("that %s", async (_what, fault) => {
    await expect(tryEngine({ bytes: engineWith(fault), inForce: BUILT, cpuSeconds: 2 })).rejects.toMatchObject({
      code: "module-refused",
      message: expect.stringMatching(fault.says),
    });
  });

  test.each(titled(OTHERWISE))("that does otherwise than the one in force for %s", async (_what, fault) => {
    const bytes = engineWith(fault);
    await expect(tryEngine({ bytes, inForce: BUILT })).rejects.toMatchObject({
      code: "module-refused",
      message: expect.stringMatching(/self-test, after \d+ packets, at .*: expected .*, found .*--force/),
    });
    await expect(tryEngine({ bytes, inForce: BUILT, isForced: true })).resolves.toBeUndefined();
  });

  function engineWith(fault: Fault | undefined): Uint8Array<ArrayBuffer> {
    return engines.get(fault) as Uint8Array<ArrayBuffer>;
  }
});

describe("data segments and start functions", () => {
  test("the engine of the package has none", () => {
    expect(() => checkBytes(BUILT, ENGINE_SHAPE, "own")).not.toThrow();
  });

  test.each([
    ["data segments", [11, 1, 0]],
    ["a start function", [8, 1, 0]],
  ])("%s are refused, wherever they stand", (what, section) => {
    const custom = [0, 200, 1, 1, 0x61, ...new Array<number>(198).fill(11)]; // a section whose content looks like others
    const bytes = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...custom, ...section]);
    expect(() => checkBytes(bytes, ENGINE_SHAPE, "other")).toThrow(`start function; found ${what}.`);
  });
});
