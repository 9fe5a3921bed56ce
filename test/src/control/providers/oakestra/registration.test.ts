// Registrations that fail at each step that a broker or a cluster takes part in: refused in time, with the reason, and
// nothing of them goes on. Those that fail in the node's network are in test/e2e.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { createLogger } from "../../../../../src/base/log.ts";
import { Netmanager } from "../../../../../src/control/providers/oakestra/netmanager.ts";
import { StateFile } from "../../../../../src/control/providers/oakestra/state-file.ts";
import { FakeBroker } from "../../../../support/oakestra/fake-broker.ts";

const WORKER = "65a0";
const RESULT = `nodes/${WORKER}/net/subnetwork/result`;
/** The NodeEngine waits 10 s. */
const IN_TIME_MS = 9500;
const STEP_MS = 50;

let broker: FakeBroker;
let folder: string;
let netmanager: Netmanager;

beforeAll(async () => {
  broker = await FakeBroker.listen();
});
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
  folder = mkdtempSync(join(tmpdir(), "sapwood-registration-"));
  broker.log.length = 0;
  broker.acknowledges = { connections: true, subscriptions: true, publications: true };
  broker.codes = { connection: 0, subscription: 1 };
  broker.refuse = false;
  broker.onPublish = () => undefined;
  netmanager = await Netmanager.open({
    netcfg: { clusterAddress: broker.host, clusterMqttPort: broker.port, publicPort: 50103, tls: undefined } as never,
    tuncfg: { ranges: ["10.30.0.0/16"] } as never,
    mtu: 1450,
    policyOf: () => undefined,
    sink: { showStatus: () => undefined, merge: async () => undefined, questions: () => [] } as never,
    state: new StateFile(folder),
    firewall: {} as never, // none of these gets as far as that
    log: createLogger("silent"),
    findAddress: async () => "192.0.2.1",
    address: "192.0.2.1",
  });
});
afterEach(async () => {
  vi.useRealTimers();
  broker.cut();
  await netmanager.close(true);
  rmSync(folder, { recursive: true });
});
afterAll(() => broker.close());

/** What the cluster says for a subnet. */
function gives(payload: string): () => void {
  return () => {
    broker.onPublish = (topic) => {
      if (topic.endsWith("/subnet")) broker.publish(RESULT, payload);
    };
  };
}

/** What the broker does, what it has done before the clock goes on (nothing: no time is needed), and the reason. */
test.each<[string, () => unknown, string | undefined, RegExp]>([
  ["closes each connection", () => Object.assign(broker, { refuse: true }), "REFUSED", /cannot be used/],
  ["says nothing", () => Object.assign(broker.acknowledges, { connections: false }), "CONNECT", /cannot be used/],
  ["refuses the worker", () => Object.assign(broker.codes, { connection: 5 }), "CONNACK", /: .*not authorized/i],
  [
    "acknowledges no subscription",
    () => Object.assign(broker.acknowledges, { subscriptions: false }),
    "SUBSCRIBE",
    /cannot be used/,
  ],
  ["refuses a subscription", () => Object.assign(broker.codes, { subscription: 0x80 }), "SUBACK", /: .*subscribe/i],
  ["is there, and no cluster", () => undefined, "PUBLISH", /gives no subnet: no answer within \d+ ms/],
  ["passes on garbage", gives('{"address":"10.18'), undefined, /gives no subnet: .*JSON/],
  ["passes on no object", gives("[]"), undefined, /gives no subnet/],
  ["passes on no addresses", gives('{"address":"","addressv6":""}'), undefined, /gives no subnet: .* \/26/],
  ["passes on one address alone", gives('{"address":"10.18.0.64"}'), undefined, /gives no subnet: .* \/120/],
  [
    "passes on an address inside a subnet",
    gives('{"address":"10.18.0.65","addressv6":"fc00::100"}'),
    undefined,
    /gives no subnet: .*10\.18\.0\.65/,
  ],
])(
  "a broker that %s: refused in time, nothing goes on, and the next one begins anew [defect 19, defect 20, remedy 10]",
  async (_what, fail, cause, why) => {
    fail();
    for (let attempt = 0; attempt < 2; attempt++) {
      const startedMs = performance.now();
      expect(await settled(netmanager.register(WORKER, ""), cause)).toMatch(why);
      expect(performance.now() - startedMs).toBeLessThanOrEqual(IN_TIME_MS);
      expect(netmanager.report).toMatchObject({ worker: null, cluster: null, isConnected: false });
      await realTime(() => broker.connectionCount === 0);
      const heard = broker.log.length;
      vi.advanceTimersByTime(600_000);
      for (let i = 0; i < 20; i++) await immediate();
      expect(broker.log).toHaveLength(heard);
    }
    await expect(netmanager.undeploy("x.d.x1.d", 0)).rejects.toThrow("not registered");
  },
);

/** The message of its failure. The network is real, the clock is not: it stands still until the broker did `cause`. */
async function settled(work: Promise<void>, cause: string | undefined): Promise<string> {
  let outcome: string | undefined;
  work.then(
    () => {
      outcome = "it succeeded";
    },
    (error: Error) => {
      outcome = error.message;
    },
  );
  const happened = (): boolean => cause !== undefined && broker.log.some((line) => line.startsWith(cause));
  await realTime(() => outcome !== undefined || happened());
  while (outcome === undefined) {
    for (let i = 0; i < 100; i++) await immediate();
    if (outcome === undefined) vi.advanceTimersByTime(STEP_MS);
  }
  broker.log.length = 0;
  return outcome;
}

function immediate(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function realTime(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await immediate();
}
