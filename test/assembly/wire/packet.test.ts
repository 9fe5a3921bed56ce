import { beforeAll, describe, expect, test } from "vitest";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import { packet, tcpPacket } from "../../support/packet-builder.ts";
import { Random, testSeed } from "../../support/random.ts";
import { parse } from "../../support/reference/parser.ts";
import { loadWorkbench, type Workbench } from "../../support/workbench.ts";

let workbench: Workbench;

beforeAll(async () => {
  workbench = await loadWorkbench();
});

const WHOLE = [
  packet().ip("192.0.2.1", "192.0.2.2").tcp({ sport: 1, dport: 2 }).payload("text").bytes(),
  packet().ip("192.0.2.1", "192.0.2.2").udp({ sport: 1, dport: 2 }).payload("text").bytes(),
  packet()
    .ipv4({ src: "192.0.2.1", dst: "192.0.2.2", options: [1, 1, 1, 0] })
    .tcp({ sport: 1, dport: 2 })
    .bytes(),
  tcpPacket("2001:db8::1", "2001:db8::2", { sport: 1, dport: 2, options: [1, 1, 1, 0] }).bytes(),
  packet().ip("2001:db8::1", "2001:db8::2").udp({ sport: 1, dport: 2 }).payload(3).bytes(),
];

function expectSame(bytes: Uint8Array): void {
  workbench.shared.bytes.set(bytes, workbench.scratchAt);
  const expected = parse(bytes);
  const reason = typeof expected === "number" ? expected : DropReason.none;
  const actual: DropReason = workbench.exports.parse(workbench.scratchAt, bytes.length);
  expect(DropReason[actual], Buffer.from(bytes).toString("hex")).toBe(DropReason[reason]);
}

describe("the parser refuses what the slow twin refuses, for the same reason", () => {
  test("every value of every byte of the headers", () => {
    for (const whole of WHOLE) {
      for (let at = 0; at < whole.length; at++) {
        for (let value = 0; value < 256; value++) {
          const bytes = whole.slice();
          bytes[at] = value;
          expectSame(bytes);
        }
      }
    }
  });

  test("every length", () => {
    for (const whole of WHOLE) {
      for (let length = 0; length <= whole.length; length++) expectSame(whole.slice(0, length));
    }
  });

  test("random bytes behind each version nibble", () => {
    const random = new Random(testSeed(31));
    for (let round = 0; round < 50_000; round++) {
      const bytes = random.bytes(random.below(90));
      if (bytes.length > 0) bytes[0] = (random.pick([0x40, 0x60]) | (bytes[0] as number)) & 0x6f;
      expectSame(bytes);
    }
  });
});
