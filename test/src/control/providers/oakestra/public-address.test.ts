// The address that the other nodes are told.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { parseNetcfg } from "../../../../../src/control/providers/oakestra/netcfg.ts";
import { PublicAddress } from "../../../../../src/control/providers/oakestra/public-address.ts";

const netcfg = (text: string) => parseNetcfg(text, "netcfg.json", {});
const PUBLIC = netcfg('{"PublicIPNetworking": true}');
const LOOK_MS = 5000;

let own: string;
let answer: () => Promise<string>;
let asked: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  own = "10.0.0.1";
  answer = async () => "192.0.2.7\n";
  asked = 0;
});
afterEach(() => {
  vi.useRealTimers();
});

function ofPublic(): PublicAddress {
  return new PublicAddress(PUBLIC, {
    outgoing: async () => own,
    fetchText: () => {
      asked += 1;
      return answer();
    },
  });
}

/** How often the service is asked by so many looks, 5 s apart. */
async function asksOf(address: PublicAddress, looks: number): Promise<number> {
  const before = asked;
  for (let i = 0; i < looks; i++) {
    vi.advanceTimersByTime(LOOK_MS);
    await address.find().catch(() => undefined);
  }
  return asked - before;
}

test("one that is configured is told as it is", async () => {
  expect(await new PublicAddress(netcfg('{"NodePublicAddress": "2001:DB8::1"}')).find()).toBe("2001:db8::1");
});

test("one by which the internet sees the node is asked for every 2 minutes, not at every look", async () => {
  const address = ofPublic();
  expect(await address.find()).toBe("192.0.2.7");
  expect(await asksOf(address, 23)).toBe(0);
  answer = async () => "192.0.2.8";
  expect(await address.find()).toBe("192.0.2.7");
  expect(await asksOf(address, 1)).toBe(1);
  expect(await address.find()).toBe("192.0.2.8");
  expect(await asksOf(address, 240)).toBe(10);
});

test("the internet is asked at once when the node's own address has changed", async () => {
  const address = ofPublic();
  await address.find();
  [own, answer] = ["10.0.0.2", async () => "192.0.2.9"];
  expect([await address.find(), asked]).toEqual(["192.0.2.9", 2]);
});

test("a service that fails after a change is asked again soon, and ever more rarely, and no old address is told", async () => {
  const address = ofPublic();
  await address.find();
  own = "10.0.0.2";
  answer = () => Promise.reject(new Error("ENETUNREACH"));
  await expect(address.find()).rejects.toThrow("ENETUNREACH");
  expect(await asksOf(address, 1)).toBe(1);
  await expect(address.find()).rejects.toThrow("is not asked again yet");
  expect(await asksOf(address, 30)).toBe(4); // 10, 30, 70 and 150 s later
  answer = async () => "192.0.2.9";
  expect(await asksOf(address, 24)).toBe(1);
  expect(await address.find()).toBe("192.0.2.9");
});

test.each([
  ["does not answer", () => Promise.reject(new Error("ECONNREFUSED")), "does not say the node's public address"],
  ["answers a page", () => Promise.resolve("<html>"), 'must answer with an address; found "<html>"'],
])("a service that %s is an error that says so, and no crash [defect 41]", async (_what, failure, sentence) => {
  answer = failure;
  await expect(ofPublic().find()).rejects.toThrow(sentence);
});

test("no way through the interface is an error that names it [defect 41]", async () => {
  const nowhere = new PublicAddress(netcfg('{"DefaultInterface": "nowhere0"}'));
  await expect(nowhere.find()).rejects.toThrow("expected a route through nowhere0 (DefaultInterface)");
});
