// What the live page makes of what it is told, apart from how a browser draws it.

import { describe, expect, test } from "vitest";
import { eventParser } from "../../../src/page/event-parser.ts";
import { bits, count, duration, endpoint, percent, perSecond, roundTrip, things } from "../../../src/page/format.ts";
import { lineWidth, type MapNode, placeNodes, RADIUS, ringsFor } from "../../../src/page/map-layout.ts";
import { hashOf, placeOf } from "../../../src/page/place.ts";

test("events are whole however the text is cut", () => {
  const text = 'event: overview\ndata: {"a":1}\n\n: comment\n\nevent: view\ndata: x\n\n';
  for (let cut = 0; cut <= text.length; cut++) {
    const parse = eventParser();
    const events = [...parse(text.slice(0, cut)), ...parse(text.slice(cut))].filter(({ data }) => data !== "");
    expect(events).toEqual([
      { name: "overview", data: '{"a":1}' },
      { name: "view", data: "x" },
    ]);
  }
});

test.each([
  [bits(0), "0 bit/s"],
  [bits(124.9), "999 bit/s"],
  [bits(125), "1 kbit/s"],
  [bits(156_250_000), "1.25 Gbit/s"],
  [perSecond(0.4), "0.4 /s"],
  [perSecond(12.4), "12 /s"],
  [perSecond(Number.NaN), "0 /s"],
  [count(262_144), "262\u202f144"],
  [things(1, "flow"), "1 flow"],
  [things(0, "flow"), "0 flows"],
  [roundTrip(null), "–"],
  [roundTrip(0.184), "0.18 ms"],
  [roundTrip(123.4), "123 ms"],
  [percent(0.005), "0.5 %"],
  [percent(1 / 3), "33 %"],
  [duration(999), "999 ms"],
  [duration(65_000), "1 min 5 s"],
  [duration(3 * 86_400_000 + 5), "3 d"],
  [endpoint("fdff::1", 80), "[fdff::1]:80"],
  [endpoint("10.30.0.1", 0), "10.30.0.1"],
])("people read %j", (shown, expected) => {
  expect(shown).toBe(expected);
});

describe("a place", () => {
  test.each([
    ["", { view: "overview", filter: "", offset: 0, order: "name" }],
    ["#flows?filter=tcp+%3A80&offset=50", { view: "flows", filter: "tcp :80", offset: 50, order: "name" }],
    ["#services?order=flows", { view: "services", filter: "", offset: 0, order: "flows" }],
    ["#nowhere?offset=-1&order=x", { view: "overview", filter: "", offset: 0, order: "name" }],
  ] as const)("is read from %j", (hash, place) => {
    expect(placeOf(hash)).toEqual(place);
    expect(placeOf(hashOf(place))).toEqual(place);
  });
});

describe("the map", () => {
  const node = (id: string, rttMs: number | null, isLocal = false): MapNode => {
    return { id, rttMs, isLocal, state: "reachable" };
  };
  const nodes = [node("self", 0, true), node("far", 80), node("near", 0.2), node("unknown", null)];
  const distanceOf = (id: string): number => {
    const place = placeNodes(nodes).find((one) => one.node.id === id);
    return Math.hypot((place?.x ?? 0) / 1.65, place?.y ?? 0);
  };

  test("has nodes the farther out the longer their round trips take", () => {
    expect(distanceOf("near")).toBeLessThan(distanceOf("far"));
    expect(distanceOf("unknown")).toBeGreaterThanOrEqual(distanceOf("far"));
    expect(distanceOf("far")).toBeLessThanOrEqual(RADIUS);
    expect(placeNodes(nodes)).toHaveLength(3);
  });

  test("keeps a node on its ray when its round-trip time changes", () => {
    const angleOf = (rttMs: number): number => {
      const [first] = placeNodes([node("a", rttMs), node("b", 5)]);
      return Math.atan2(first?.y ?? 0, (first?.x ?? 0) / 1.65);
    };
    expect(angleOf(0.1)).toBeCloseTo(angleOf(300), 10);
  });

  test("has a few rings at round times, and none when nothing was measured", () => {
    const labels = ringsFor(nodes).map(({ label }) => label);
    expect(labels.length).toBeGreaterThan(0);
    expect(labels.length).toBeLessThanOrEqual(3);
    expect(ringsFor([node("self", 0, true), node("a", null)])).toEqual([]);
  });

  test("has wider lines for more traffic, within bounds", () => {
    expect(lineWidth(null)).toBe(lineWidth(0));
    expect(lineWidth(1000)).toBeGreaterThan(lineWidth(10));
    expect(lineWidth(1e12)).toBe(8);
  });
});
