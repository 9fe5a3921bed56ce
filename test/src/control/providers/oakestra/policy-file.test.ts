// The operator's file of policies.
import { expect, test } from "vitest";
import { nodeSettings } from "../../../../../src/control/providers/oakestra/node-settings.ts";
import { loadPolicyFile, parsePolicyFile } from "../../../../../src/control/providers/oakestra/policy-file.ts";
import { parseTuncfg } from "../../../../../src/control/providers/oakestra/tuncfg.ts";

const read = (text: string) => parsePolicyFile(text, "policies.yaml");

test("binds services, and prefixes of addresses, the longest first; a service comes before a prefix [defect 43]", () => {
  const { policyOf } = read(`
    services: { x.d.x1.d: Closest }
    prefixes: { 10.30.4.0/24: weighted, 10.30.0.0/16: random, "fdff:2000::/21": consistent-hash }`);
  expect(policyOf("x.d.x1.d", "10.30.4.1")).toBe("closest");
  expect(policyOf("y.d.y1.d", "10.30.4.1")).toBe("weighted");
  expect(policyOf("y.d.y1.d", "10.30.5.1")).toBe("random");
  expect(policyOf("y.d.y1.d", "fdff:2000::9")).toBe("consistent-hash");
  expect(policyOf("y.d.y1.d", "fdff:1000::9")).toBeUndefined();
});

test("without one nothing is bound, and no round trip is measured", () => {
  const none = loadPolicyFile("/nowhere/policies.yaml");
  expect([none.modules, none.probe, none.policyOf("x.d.x1.d", "10.30.0.1")]).toEqual([{}, undefined, undefined]);
});

test("its modules and probes become settings of the node", () => {
  const policies = read("{ modules: { my-policy: /etc/netmanager/my-policy.wasm }, probe: 10s }");
  const tuncfg = parseTuncfg("{}", "tuncfg.json", () => undefined);
  const place = { address: "192.0.2.1", tuncfg, controlSocket: "/run/s", stateFolder: "/var/s" };
  expect(nodeSettings({ ...place, policies })).toMatchObject({
    policies: { "my-policy": { file: "/etc/netmanager/my-policy.wasm" } },
    probe: { interval: "10s" },
  });
  expect(nodeSettings({ ...place, policies: read("") })).toMatchObject({ policies: {}, probe: { interval: 0 } });
});

test("the node listens to TunnelPort of tuncfg.json, whatever port it tells the others [behaviour 9]", () => {
  const tuncfg = parseTuncfg('{"TunnelPort": 50200}', "tuncfg.json", () => undefined);
  const settings = { address: "192.0.2.1", tuncfg, controlSocket: "/run/s", stateFolder: "/var/s" };
  expect(nodeSettings({ ...settings, policies: read("") })).toMatchObject({
    node: { underlay: { port: 50_200, bind: "::" }, acceptStrangers: true },
  });
});

test.each([
  ["[", "policies.yaml: expected YAML or JSON; found an error: "],
  ["services: { x.d.x1: closest }", "policies.yaml: services.x.d.x1: expected a service's full name"],
  ["services: { x.d.x1.d: 5 }", "policies.yaml: services.x.d.x1.d: expected the name of a policy"],
  ["services: { x.d.x1.d: No Policy }", "policies.yaml: services.x.d.x1.d: expected a name of up to 63 bytes"],
  ["prefixes: { 10.30.4.1/24: random }", "policies.yaml: prefixes.10.30.4.1/24: expected a prefix without host bits"],
  ["sevices: {}", 'policies.yaml: Unrecognized key: "sevices"'],
])("%j is refused", (text, sentence) => {
  expect(() => read(text)).toThrow(sentence);
});
