// All that a worker says to its cluster, with a broker that cuts connections and a cluster that may begin anew: what the
// cluster does not expect would end it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Worker } from "../../../../../src/control/providers/oakestra/worker.ts";
import { BUILT_IN_POLICIES } from "../../../../../src/model/policy-names.ts";
import { parsePrefix } from "../../../../../src/net/address.ts";
import { FakeBroker } from "../../../../support/oakestra/fake-broker.ts";

const [WORKER, JOB, SERVICE_IP] = ["65a0", "x.d.x1.d", "10.30.0.1"];
const TOPICS = `nodes/${WORKER}/net`;
const [REQUEST, REMOVE] = [`${TOPICS}/tablequery/request`, `${TOPICS}/interest/remove`];
const UPDATES = `jobs/${JOB}/updates_available`;
const RECORD = {
  ...{ instance_number: 0, namespace_ip: "10.18.1.2", namespace_ip_v6: "fc00::1:2", host_ip: "192.0.2.2" },
  host_port: 50103,
  service_ip: [
    { IpType: "RR", Address: SERVICE_IP },
    { IpType: "instance_ip", Address: "10.30.0.10" },
  ],
};
const IDLE_MS = 11_000;
/** Longer than the first pauses between connections. */
const RECONNECT_MS = 1000;

let broker: FakeBroker;
let cluster: Cluster;
let folder: string;
let worker: Worker;
let asked: string[]; // addresses that packets wait for

/** Counts who is interested as the real one does, and would end where `violations` grow. */
class Cluster {
  isCounting = false;
  isJobKnown = true;
  readonly violations: string[] = [];

  take(topic: string, payload: string): void {
    const message = JSON.parse(payload);
    if (topic === REQUEST) this.#answer(message);
    if (topic !== REMOVE) return;
    if (!this.isCounting || message.appname !== JOB) this.violations.push(payload);
    this.isCounting = false;
  }

  #answer({ sname, sip }: { readonly sname: string; readonly sip: string }): void {
    const isFound = this.isJobKnown && (sname === JOB || sip === SERVICE_IP);
    if (isFound) this.isCounting = true;
    const result = { app_name: isFound ? JOB : sname, instance_list: isFound ? [RECORD] : [], query_key: sip || sname };
    broker.publish(`${TOPICS}/tablequery/result`, JSON.stringify(result));
  }
}

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
  broker = await FakeBroker.listen();
  cluster = new Cluster();
  broker.onPublish = (topic, payload) => cluster.take(topic, payload);
  folder = mkdtempSync(join(tmpdir(), "sapwood-worker-"));
  asked = [];
  worker = new Worker({
    ...{ workerId: WORKER, broker, stateFolder: folder, tls: undefined },
    sink: {
      nodeId: "this-node",
      merge: async () => undefined,
      questions: () => asked.map((address) => ({ address, ageMs: 0, askers: [1], isUrgent: false })),
      refuse: () => undefined,
      servicesInUse: () => new Set(),
      policies: () => BUILT_IN_POLICIES,
      showStatus: () => undefined,
      alarms: { tell: () => undefined, end: () => undefined },
    },
    ranges: [parsePrefix("10.30.0.0/16")],
    host: () => ({ address: "192.0.2.1", port: 50103 }),
    own: { find: () => undefined, isOwnTunnel: () => false, isOwnNamespace: () => false },
    policyOf: () => undefined,
    isDeployed: () => false,
    tell: () => undefined,
  });
  await worker.connected(60_000);
  worker.serve();
});
afterEach(async () => {
  vi.useRealTimers();
  await Promise.all([worker.close(), broker.close()]);
  rmSync(folder, { recursive: true });
});

test("a job that a packet waits for is subscribed to, and asked for once more only when that is in force [behaviour 6, remedy 15]", async () => {
  broker.acknowledges.subscriptions = false;
  await find();
  await until(() => broker.log.includes(`SUBSCRIBE ${UPDATES}`));
  await turns();
  expect(requests()).toEqual([`{"sname":"","sip":"${SERVICE_IP}"}`]);
  broker.release();
  await until(() => requests().length === 2);
  expect(broker.log.indexOf("SUBACK", broker.log.indexOf(`SUBSCRIBE ${UPDATES}`))).toBeLessThan(
    broker.log.lastIndexOf(`PUBLISH ${REQUEST} {"sname":"${JOB}","sip":""}`),
  );
});

test("a removal that the broker has not acknowledged is not said again to a cluster that began anew [measured 1, defect 45]", async () => {
  await find();
  await until(() => requests().length === 2);
  broker.silentTopic = REMOVE; // but the query right before it is acknowledged
  await idle();
  await until(() => removals() === 1);
  // The connection ends, and the cluster with it.
  cluster.isCounting = false;
  broker.silentTopic = undefined;
  broker.cut();
  await reconnected();
  await until(() => removals() === 2);
  await until(() => broker.log.includes(`UNSUBSCRIBE ${UPDATES}`));
  expect([cluster.violations, cluster.isCounting]).toEqual([[], false]);
  const last = broker.log.filter((line) => /PUBLISH|UNSUB/.test(line)).slice(-3);
  expect(last).toEqual([
    `PUBLISH ${REQUEST} {"sname":"${JOB}","sip":""}`,
    `PUBLISH ${REMOVE} {"appname":"${JOB}"}`,
    `UNSUBSCRIBE ${UPDATES}`,
  ]);
});

test.each([true, false])(
  "a job that the cluster has forgotten is given up, with a removal only if it knows the job again: %s [measured 1, defect 45]",
  async (isKnown) => {
    await find();
    await until(() => requests().length === 2);
    Object.assign(cluster, { isCounting: false, isJobKnown: isKnown });
    await idle();
    await until(() => broker.log.includes(`UNSUBSCRIBE ${UPDATES}`));
    expect([cluster.violations, removals(), cluster.isCounting]).toEqual([[], isKnown ? 1 : 0, false]);
  },
);

test("what was asked in one connection is not asked again by the next one: nobody would give up that interest [measured 1]", async () => {
  broker.acknowledges.publications = false;
  broker.onPublish = () => undefined;
  await find();
  asked = [];
  broker.acknowledges.publications = true;
  broker.cut();
  await reconnected();
  await turns();
  expect(requests()).toHaveLength(1);
});

/** A packet waits for the service. */
async function find(): Promise<void> {
  asked = [SERVICE_IP];
  vi.advanceTimersByTime(100);
  await until(() => requests().length > 0);
  asked = [];
}

/** Nobody uses the job for long enough, in steps: what comes meanwhile is taken in real time. */
async function idle(): Promise<void> {
  for (let passedMs = 0; passedMs < IDLE_MS; passedMs += 500) {
    await turns();
    vi.advanceTimersByTime(500);
  }
}

async function reconnected(): Promise<void> {
  const before = broker.log.filter((line) => line === "SUBACK").length;
  await until(() => broker.connectionCount === 0);
  await turns();
  vi.advanceTimersByTime(RECONNECT_MS);
  await until(() => broker.log.filter((line) => line === "SUBACK").length > before);
}

function requests(): string[] {
  return broker.published(REQUEST);
}

function removals(): number {
  return broker.published(REMOVE).length;
}

/** The network is real, the clock is not. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turns(1);
}

async function turns(count = 100): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
