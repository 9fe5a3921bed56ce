// The arithmetic and the texts of `npm run bench publish`; what it measures is never a matter of tests.
import { expect, test } from "vitest";
import { manyServicesConfig, weightPatch } from "../../bench/publish/many-services.ts";
import { disturbanceIn, SLICE_US, type Slice } from "../../bench/publish/windows.ts";
import { parseConfig, parseTablesPatch } from "../../src/control/config/config.ts";
import { DEFAULT_BINDINGS } from "../../src/control/tables/policy-bindings.ts";

const SIZE = { services: 300, instances: 70_000 }; // beyond the last group of an address

function slice(index: number, longestGapUs: number): Slice {
  const own = { longestGapUs, longestPathGapUs: longestGapUs / 2, longestDelayUs: 2 * longestGapUs };
  return { startUs: index * SLICE_US, packets: 10, pathGaps: index, ...own };
}

test("a disturbance is made of the slices that lie wholly within one of its spans", () => {
  const slices = [9000, 1000, 3000, 8000, 2000, 7000].map((gapUs, index) => slice(index, gapUs));
  const spans = [
    { startUs: 1, endUs: 3 * SLICE_US },
    { startUs: 4 * SLICE_US, endUs: 6 * SLICE_US - 1 },
  ];
  expect(disturbanceIn(slices, spans)).toEqual({
    seconds: 0.03,
    packets: 30,
    longestGapMs: 3,
    longestPathGapMs: 1.5,
    pathGaps: 1 + 2 + 4,
    longestDelayMs: 6,
  });
  expect(disturbanceIn(slices, [])).toMatchObject({ seconds: 0, packets: 0, longestGapMs: 0 });
});

test("the configuration is a good one and has as many services and instances as asked for", () => {
  const { tables } = parseConfig(manyServicesConfig(SIZE, 1), "many.json");
  const many = tables.services.filter(({ name }) => name.startsWith("service-"));
  expect(many.length).toBe(SIZE.services);
  expect(many.flatMap(({ instances }) => instances).length).toBe(300 * 233);
});

test("a patch changes one weight of each of the first services, and nothing else", () => {
  const { tables } = parseConfig(manyServicesConfig(SIZE, 1), "many.json");
  const before = new Map(tables.services.map((service) => [service.name, service]));
  const { services } = parseTablesPatch(weightPatch(SIZE, 5, 2), "patch", { bindings: DEFAULT_BINDINGS });
  expect(services.map(({ name }) => name)).toEqual([0, 1, 2, 3, 4].map((i) => `service-${i}`));
  for (const service of services) {
    const [first, ...others] = service.instances;
    expect(first?.weight).toBe(2);
    expect({ ...service, instances: [{ ...first, weight: 1 }, ...others] }).toEqual(before.get(service.name));
  }
});
