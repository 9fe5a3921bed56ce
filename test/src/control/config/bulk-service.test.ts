// Services that are read by hand, against the schema: what is read is the same, and what is wrong is left to the schema.

import { expect, test } from "vitest";
import { readPlainService } from "../../../../src/control/config/bulk-service.ts";
import { serviceSchema } from "../../../../src/control/config/config-schema.ts";
import { Random } from "../../../support/random.ts";

const NOTHING = Symbol("the field is missing");
/** Good and bad values of each field, the good ones more often. */
const VALUES = {
  name: ["web", "a.b-c:1", "ünïcode", "é", "e\u0301", "two words", "", "x".repeat(254), 5, null, NOTHING],
  policy: ["RR", "closest", "round-robin", "instance_ip", "Ein Wort", 5, null, undefined, NOTHING, NOTHING],
  text: ["10.30.0.1", "fdff::1", "FDFF:0::1", "::ffff:10.0.0.1", "10.30.0.256", "", 5, null],
  number: [0, 1, 7, 0xffff_ffff, 0x1_0000_0000, -1, 1.5, "1", null, NOTHING],
  weight: [1, 65_535, 0, 65_536, "2", null, NOTHING, NOTHING],
  draining: [true, false, "true", 0, null, NOTHING, NOTHING],
} as const;

function pick(random: Random, field: keyof typeof VALUES): unknown {
  const values: readonly unknown[] = VALUES[field];
  return random.chance(0.93) ? values[random.below(2)] : values[random.below(values.length)];
}

function fields(entries: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== NOTHING));
}

function some(random: Random, make: () => unknown): unknown {
  if (random.chance(0.02)) return random.pick([null, 5, "list", {}, NOTHING]);
  return Array.from({ length: random.below(3) }, make);
}

function writtenService(random: Random): unknown {
  const texts = (): unknown => some(random, () => pick(random, "text"));
  return fields({
    name: pick(random, "name"),
    addresses: some(random, () => fields({ address: pick(random, "text"), policy: pick(random, "policy") })),
    instances: some(random, () =>
      fields({
        number: pick(random, "number"),
        node: pick(random, "name"),
        namespace: texts(),
        addresses: texts(),
        weight: pick(random, "weight"),
        draining: pick(random, "draining"),
        ...(random.chance(0.02) ? { wieght: 1 } : {}),
      }),
    ),
    ...(random.chance(0.05) ? { health: { tcp: 80 } } : {}),
  });
}

test("what is read by hand is what the schema makes of it", () => {
  const random = new Random(11);
  const counts = { plain: 0, good: 0 };
  for (let i = 0; i < 3000; i++) {
    const written = writtenService(random);
    const plain = readPlainService(written);
    const { success, data } = serviceSchema.safeParse(written);
    if (success) counts.good += 1;
    if (plain === undefined) continue;
    counts.plain += 1;
    expect(data).toEqual(plain);
  }
  expect(counts.plain).toBeGreaterThan(500);
  expect(counts.plain).toBeGreaterThan(counts.good * 0.8);
});

test.each([undefined, null, 5, "text", [], { name: "a", instances: {} }, { name: "a", health: { tcp: 80 } }])(
  "%j is left to the schema",
  (value) => {
    expect(readPlainService(value)).toBeUndefined();
  },
);
