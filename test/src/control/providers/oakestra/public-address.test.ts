// The address that the other nodes are told.
import { expect, test } from "vitest";
import { parseNetcfg } from "../../../../../src/control/providers/oakestra/netcfg.ts";
import { findPublicAddress } from "../../../../../src/control/providers/oakestra/public-address.ts";

const netcfg = (text: string) => parseNetcfg(text, "netcfg.json", {});
const PUBLIC = netcfg('{"PublicIPNetworking": true}');

test("one that is configured is told as it is", async () => {
  expect(await findPublicAddress(netcfg('{"NodePublicAddress": "2001:DB8::1"}'))).toBe("2001:db8::1");
});

test("the one by which the internet sees the node", async () => {
  expect(await findPublicAddress(PUBLIC, async () => "192.0.2.7\n")).toBe("192.0.2.7");
});

test.each([
  ["does not answer", () => Promise.reject(new Error("ECONNREFUSED")), "does not say the node's public address"],
  ["answers a page", () => Promise.resolve("<html>"), 'must answer with an address; found "<html>"'],
])("a service that %s is an error that says so, and no crash [defect 41]", async (_what, answer, sentence) => {
  await expect(findPublicAddress(PUBLIC, answer)).rejects.toThrow(sentence);
});

test("no way through the interface is an error that names it [defect 41]", async () => {
  const nowhere = netcfg('{"DefaultInterface": "nowhere0"}');
  await expect(findPublicAddress(nowhere)).rejects.toThrow("expected a route through nowhere0 (DefaultInterface)");
});
