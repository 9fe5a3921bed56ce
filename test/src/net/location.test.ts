import { expect, test } from "vitest";
import { distanceKm } from "../../../src/net/location.ts";

const GARCHING = { latitude: 48.2629, longitude: 11.6684 };
const SYDNEY = { latitude: -33.8688, longitude: 151.2093 };

test.each([
  ["to itself", GARCHING, GARCHING, 0],
  ["a quarter of the equator", { latitude: 0, longitude: 0 }, { latitude: 0, longitude: 90 }, 10_007.56],
  ["pole to pole", { latitude: 90, longitude: 0 }, { latitude: -90, longitude: 77 }, 20_015.11],
  ["over the date line", { latitude: 0, longitude: 179 }, { latitude: 0, longitude: -179 }, 222.39],
  ["half around the world", GARCHING, SYDNEY, 16_305],
])("the distance %s", (_, a, b, km) => {
  expect(Math.abs(distanceKm(a, b) - km)).toBeLessThan(km / 500 + 0.01);
  expect(distanceKm(b, a)).toBeCloseTo(distanceKm(a, b), 6);
});
