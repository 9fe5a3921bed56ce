// What a service may say about checks of its instances, and what is said of mistakes in it.
import { describe, expect, test } from "vitest";
import { parseConfig, parseTables } from "../../../../src/control/config/config.ts";
import { tablesJson } from "../../../../src/control/tables/tables-document.ts";
import type { ServiceHealth } from "../../../../src/model/tables.ts";
import { refusalLines } from "../../../support/config-refusal.ts";

function file(health: string): string {
  return `node: { id: node-a, underlay: { address: 192.0.2.11 } }
services:
  - name: web
    health: ${health}
    addresses: [{ address: 10.30.0.7, policy: closest }]
    instances: [{ number: 1, node: node-a, namespace: [10.18.3.9], addresses: [10.30.0.8] }]`;
}

function healthOf(text: string): ServiceHealth | undefined {
  return parseConfig(text, "node.yaml").tables.services[0]?.health;
}

test.each([
  ["{ tcp: 80 }", { tcp: 80, interval: 5000, timeout: 2000, healthy: 2, unhealthy: 3 }],
  ["{ http: /ready }", { http: "/ready", interval: 5000, timeout: 2000, healthy: 2, unhealthy: 3 }],
  ["{ icmp: true, interval: 500ms }", { icmp: true, interval: 500, timeout: 500, healthy: 2, unhealthy: 3 }],
  [
    "{ http: '/ready?deep=1', port: 8080, interval: 1m, timeout: 10s, healthy: 1, unhealthy: 5 }",
    { http: "/ready?deep=1", port: 8080, interval: 60_000, timeout: 10_000, healthy: 1, unhealthy: 5 },
  ],
])("%s is what it says, with defaults", (written, expected) => {
  expect(healthOf(file(written))).toEqual(expected);
});

describe("mistakes are named with what was expected and found", () => {
  test.each([
    ["{}", "4: services[0].health: expected one of tcp, http, icmp, found none"],
    ["{ tcp: 80, icmp: true }", "4: services[0].health: expected one of tcp, http, icmp, found tcp and icmp"],
    ["{ tcp: 0 }", "4: services[0].health.tcp: expected a port from 1 to 65535, found the number 0"],
    ["{ tcp: '80' }", '4: services[0].health.tcp: expected a port from 1 to 65535, found the text "80"'],
    ["{ http: ready }", "4: services[0].health.http: expected a path like /ready, found ready"],
    ["{ http: '/a b' }", "4: services[0].health.http: expected a path like /ready, found /a b"],
    ["{ tcp: 80, port: 81 }", "4: services[0].health.port: expected no port without http (tcp has its own), found 81"],
    ["{ icmp: false }", "4: services[0].health.icmp: expected true, found the boolean false"],
    [
      "{ tcp: 80, interval: 1s, timeout: 2s }",
      "4: services[0].health.timeout: expected no more than the interval of 1000ms, found 2000ms",
    ],
    [
      "{ tcp: 80, interval: 1ms }",
      "4: services[0].health.interval: expected a duration like 400ms, 30s, 5m or 24h, from 100ms to 3600000ms, found 1ms",
    ],
    [
      "{ tcp: 80, unhealthy: 0 }",
      "4: services[0].health.unhealthy: expected a number of checks from 1 to 100, found the number 0",
    ],
    ["{ udp: 80 }", /^4: services\[0\]\.health\.udp: expected one of tcp, http, port, icmp, interval, .*, found udp/],
    ["yes please", /^4: services\[0\]\.health: expected fields \(tcp, http, /],
  ])("%s", (written, expected) => {
    const [line = ""] = refusalLines(file(written));
    if (typeof expected === "string") expect(line).toBe(expected);
    else expect(line).toMatch(expected);
  });
});

test.each(["{ tcp: 80 }", "{ http: /ready, port: 8080, interval: 1m }", "{ icmp: true }"])(
  "%s comes out of a running proxy as it can be applied again",
  (written) => {
    const { tables } = parseConfig(file(written), "node.yaml");
    expect(parseTables([...tablesJson(tables)].join(""), "tables.json")).toEqual(tables);
  },
);
