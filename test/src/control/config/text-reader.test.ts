// Long texts are read elsewhere: with the same outcome as here, and without holding up this thread.
import { PassThrough, Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { FrameReader } from "../../../../src/base/frame-reader.ts";
import { parseTables } from "../../../../src/control/config/config.ts";
import { writeWhole } from "../../../../src/control/config/held-text.ts";
import { serviceOf } from "../../../../src/control/config/service-frame.ts";
import { processorLimit } from "../../../../src/control/config/text-contract.ts";
import { readText, receiveText, SHORT_TEXT } from "../../../../src/control/config/text-reader.ts";
import { sizesOf } from "../../../../src/control/tables/emptying.ts";
import { checkedBy, rulesKey } from "../../../../src/control/tables/table-validation.ts";
import type { Service } from "../../../../src/model/tables.ts";
import { parsePrefix } from "../../../../src/net/address.ts";
import { TEXT_BYTES_MAX } from "../../../../src/sys/user-file.ts";

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
  expect(await readText(text, { kind: "tables", name, options: {} })).toEqual(parseTables(text, name));
});

test.each([
  ["short", 3],
  ["long", 1000],
])("a %s text with a mistake is refused with its line and its code", async (_what, count) => {
  const text = tablesOf(count, [{ name: 5 }]);
  const [refused] = await Promise.allSettled([readText(text, { kind: "tables", name, options: {} })]);
  expect(() => parseTables(text, name)).toThrow(refused?.status === "rejected" ? refused.reason.message : "");
  expect(refused).toMatchObject({ status: "rejected", reason: { name: "SapwoodError", code: "config-invalid" } });
});

test("this thread goes on while a text with very many mistakes is read", async () => {
  let isReading = true;
  const text = `services:\n${"- a\n".repeat(20_000)}`;
  const reading = readText(text, { kind: "tables", name, options: {} })
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

describe("a text from a stream", () => {
  test.each([3, 1000])("of %i services is read as it is, in parts of any size", async (count) => {
    const text = tablesOf(count);
    const parts = text.match(/.{1,1000}/g) ?? [];
    const received = await receiveText(Readable.from(parts.map((part) => Buffer.from(part))), TEXT_BYTES_MAX);
    expect(typeof received).toBe(count > 3 ? "object" : "string");
    expect(await readText(received, { kind: "tables", name, options: {} })).toEqual(parseTables(text, name));
  });

  test("that is longer than it may be is refused", async () => {
    const endless = Readable.from(
      (function* () {
        for (;;) yield Buffer.alloc(10_000, " ");
      })(),
    );
    await expect(receiveText(endless, 100_000)).rejects.toMatchObject({ code: "body-too-large" });
    endless.destroy();
  });

  test("that ends before it is complete is not read", async () => {
    const cut = new PassThrough();
    cut.write(tablesOf(1000));
    const receiving = receiveText(cut, TEXT_BYTES_MAX);
    cut.destroy();
    await expect(receiving).rejects.toThrow("before its text was complete");
  });

  test("that is no UTF-8 is refused, however long it is", async () => {
    for (const length of [10, 100_000]) {
      const reading = receiveText(Readable.from([Buffer.alloc(length, 0xff)]), TEXT_BYTES_MAX).then((text) =>
        readText(text, { kind: "tables", name, options: {} }),
      );
      await expect(reading).rejects.toMatchObject({
        code: "tables-invalid",
        message: expect.stringContaining("UTF-8"),
      });
    }
  });
});

test("a long text that names no services keeps those in force, which are not handed to the process", async () => {
  const nodes = Array.from({ length: 1000 }, (_, i) => ({
    id: `node-${i}`,
    underlay: { address: `192.0.${2 + (i >> 8)}.${i & 255}` },
  }));
  const inForce = parseTables(tablesOf(3), name);
  const options = { inForce, sizesInForce: sizesOf(inForce) };
  const text = JSON.stringify({ nodes });
  expect(text.length).toBeGreaterThan(SHORT_TEXT);
  const read = await readText(text, { kind: "tables", name, options });
  expect(read.nodes).toHaveLength(1000);
  expect(read.services).toBe(inForce.services);
});

test("services come back from the process as they were", () => {
  const health = { tcp: 80, interval: 1000, timeout: 500, healthy: 2, unhealthy: 3 };
  const { services } = parseTables(tablesOf(2), name);
  for (const service of [...services, { ...services[0], name: 'tab\\t"ü"', health } as Service]) {
    const read: Service[] = [];
    const frames = new FrameReader((frame) => read.push(serviceOf(frame)));
    writeWhole([service], (part) => frames.take(Buffer.from(part)));
    expect(read.map((one) => ({ ...one }))).toEqual([service]);
  }
});

test("what was checked by the same rules is not checked again, by others it is", async () => {
  const rules = { nodeId: "node-b", ranges: [parsePrefix("10.30.0.0/16")], isEncrypted: false };
  const text = JSON.stringify({ nodes: [], ...JSON.parse(tablesOf(1000)) });
  const read = await readText(text, { kind: "tables", name, options: { rules } });
  expect(checkedBy(read)).toBe(rulesKey(rules));
  expect(checkedBy(read)).not.toBe(rulesKey({ ...rules, nodeId: "node-c" }));
});

test("a text may take the longer the longer it is: 300,000 services with ten instances each have 276 MiB", () => {
  expect(processorLimit(0)).toBe(60);
  expect(processorLimit(276 * 2 ** 20)).toBe(336);
});
