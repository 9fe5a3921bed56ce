// The packets by which an engine is tried: their answers against the slow twin, and engines that must not pass.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
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
import { binaryOfEngine } from "../../../support/engine-source.ts";

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

describe("an engine does not pass that", () => {
  test.each([
    [
      "is built for another layout",
      "assembly/shared/layout.ts",
      /LAYOUT_VERSION = \d+/,
      "LAYOUT_VERSION = 9999",
      /built for layout version \d+; found version 9999/,
    ],
    [
      "leaves checksums as they were",
      "assembly/checksum/incremental.ts",
      /export function addressDelta\(([^)]*)\): u64 \{/,
      "export function addressDelta($1): u64 { if (true) return 0;",
      /self-test, at a UDP packet that begins a flow: expected [0-9a-f]+ for the tunnel, found/,
    ],
    [
      "finds no flow of another one",
      "assembly/table/hash.ts",
      /load<u64>\(m, 80\) \+ protocol/,
      "load<u64>(m, 80) + protocol + 1",
      /self-test on the flows of the engine in force, at a TCP answer/,
    ],
    [
      "does not return",
      "assembly/engine.ts",
      /const nowMs = begin\(nowUs\);\n {2}if \(isWorthwhile/,
      "while (true) {}\n  const nowMs = begin(nowUs);\n  if (isWorthwhile",
      /ended the process in which it was tried \(the processor time for its trial was up\)/,
    ],
  ])("%s", async (_what, file, before, after, says) => {
    const bytes = await binaryOfEngine(file, before, after);
    await expect(tryEngine({ bytes, inForce: BUILT, cpuSeconds: 2 })).rejects.toMatchObject({
      code: "module-refused",
      message: expect.stringMatching(says),
    });
  });
});

describe("an engine does not pass that does otherwise than the one in force for", () => {
  const EGRESS_FRAME = /const reason = egressFrame\(at, length, nowMs\);/;
  test.each([
    [
      "UDP of more than 200 bytes",
      EGRESS_FRAME,
      "const ip = at + 10; const reason = load<u8>(ip) == 0x45 && load<u8>(ip, 9) == 17 && length > 238" +
        " ? DropReason.wrongNode : egressFrame(at, length, nowMs);",
    ],
    [
      "TCP to port 443",
      EGRESS_FRAME,
      "const ip = at + 10; const reason = load<u8>(ip) == 0x45 && load<u8>(ip, 9) == 6 && load<u16>(ip, 22) == 0xbb01" +
        " ? DropReason.wrongNode : egressFrame(at, length, nowMs);",
    ],
    ["a frame in the middle of a batch", EGRESS_FRAME, "if (slot == 5) continue;\n    $&"],
    [
      "a message in the middle of a batch",
      /(slot < end && hasRoom\(messagePackets\(slot\)\); slot\+\+\))/,
      "$1 if (slot != 7)",
    ],
    ["flows that are idle", /const ended = sweepFlows\(nowMs, budget\);/, "const ended: u32 = 0;"],
    ["what the kernel refuses", /export function udpRejected\(.*\{/, "$& if (errno == EINVAL) return 0;"],
  ])("%s", async (_what, before, after) => {
    const bytes = await binaryOfEngine("assembly/engine.ts", before, after);
    await expect(tryEngine({ bytes, inForce: BUILT })).rejects.toMatchObject({
      code: "module-refused",
      message: expect.stringMatching(/self-test, after \d+ packets, at .*: expected .*, found .*--force/),
    });
    await expect(tryEngine({ bytes, inForce: BUILT, isForced: true })).resolves.toBeUndefined();
  });
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
