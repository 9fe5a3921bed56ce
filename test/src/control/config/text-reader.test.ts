// Long texts are read elsewhere: with the same outcome as here, and without holding up this thread.
import { expect, test } from "vitest";
import { parseTables } from "../../../../src/control/config/config.ts";
import { readText, SHORT_TEXT } from "../../../../src/control/config/text-reader.ts";

const name = "tables";
const instance = { number: 1, node: "node-b", namespace: ["10.18.3.1"], addresses: ["10.30.0.3"] };

function tablesOf(serviceCount: number, more: readonly unknown[] = []): string {
  const services = Array.from({ length: serviceCount }, (_, i) => ({
    name: `service-${i}`,
    instances: [{ ...instance, namespace: [`10.18.${i >> 8}.${i & 255}`], addresses: [`10.30.${i >> 8}.${i & 255}`] }],
  }));
  return JSON.stringify({ services: [...services, ...more] });
}

test.each([
  ["short", 3],
  ["long", 1000],
])("a %s text is read as it is", async (_what, count) => {
  const text = tablesOf(count);
  expect(text.length > SHORT_TEXT).toBe(count > 3);
  expect(await readText({ kind: "tables", text, name, options: {} })).toEqual(parseTables(text, name));
});

test.each([
  ["short", 3],
  ["long", 1000],
])("a %s text with a mistake is refused with its line and its code", async (_what, count) => {
  const text = tablesOf(count, [{ name: 5 }]);
  const [refused] = await Promise.allSettled([readText({ kind: "tables", text, name, options: {} })]);
  expect(() => parseTables(text, name)).toThrow(refused?.status === "rejected" ? refused.reason.message : "");
  expect(refused).toMatchObject({ status: "rejected", reason: { name: "SapwoodError", code: "config-invalid" } });
});

test("this thread goes on while a text with very many mistakes is read", async () => {
  let isReading = true;
  const text = `services:\n${"- a\n".repeat(20_000)}`;
  const reading = readText({ kind: "tables", text, name, options: {} })
    .catch((error: unknown) => String(error))
    .finally(() => {
      isReading = false;
    });
  let turns = 0;
  while (isReading) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (isReading) turns += 1;
  }
  expect(await reading).toContain(
    'services[0]: expected fields (name, addresses, instances, health), found the text "a"',
  );
  expect(turns).toBeGreaterThan(20);
});
