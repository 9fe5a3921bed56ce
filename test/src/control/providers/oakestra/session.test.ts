// The MQTT session of a worker with a real broker, which is killed and started again.
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { nodeTopics } from "../../../../../src/control/providers/oakestra/messages.ts";
import { Session, type SessionOptions } from "../../../../../src/control/providers/oakestra/session.ts";
import { LocalBroker } from "../../../../support/oakestra/local-broker.ts";

const PATIENCE = { timeout: 60_000 };
const CONNECT_MS = 30_000;
/** First bytes of MQTT 3.1.1's packets. */
const [CONNECT, SUBSCRIBE] = [0x10, 0x82];

let broker: LocalBroker;
let session: Session | undefined;
let workers = 0;

beforeAll(async () => {
  broker = await LocalBroker.start();
});
afterEach(async () => {
  await session?.close();
  session = undefined;
});
afterAll(() => broker?.close());

/** A session of a worker that nobody else is. */
function open(options: Partial<SessionOptions> = {}) {
  const workerId = `65a0${(workers++).toString(16).padStart(4, "0")}`;
  const topics = nodeTopics(workerId);
  const told: string[] = [];
  const opened = new Session({
    ...{ workerId, host: broker.host, port: broker.port, tls: undefined },
    topics: [topics.tableQueryResult, topics.subnetResult],
    onMessage: () => undefined,
    onConnected: () => undefined,
    onDisconnected: () => undefined,
    tell: (sentence) => told.push(sentence),
    ...options,
  });
  session = opened;
  return { session: opened, workerId, topics, told };
}

test("a worker's id is its client id; it subscribes first, all with QoS 1 and nothing retained [behaviour 3, remedy 15]", async () => {
  const { session, workerId, topics } = open();
  await session.connected(CONNECT_MS);
  session.publish(topics.subnet, { METHOD: "GET" });
  await expect.poll(() => broker.published(workerId), PATIENCE).toEqual([`${topics.subnet} (q1, r0)`]);
  const lines = broker.log.split("\n").filter((line) => line.includes(workerId));
  expect(lines.join("\n")).toMatch(new RegExp(`as ${workerId} \\(p2, c1, k30\\)`)); // MQTT 3.1.1, clean, 30 s
  const said = ["SUBACK to", "PUBLISH from"].map((what) => lines.findIndex((line) => line.includes(what)));
  expect(said).toEqual([...said].sort((a, b) => a - b));
  expect(lines.join("\n")).not.toContain("Will");
  for (const topic of [topics.tableQueryResult, topics.subnetResult]) {
    expect(broker.log).toContain(`${topic} (QoS 1)`);
  }
});

test("what is published while the broker is away is said in its order when it is back, behind the subscriptions [defect 40, remedy 15]", async () => {
  let connections = 0;
  const { session, workerId, topics } = open({
    onConnected: () => {
      connections += 1;
      if (connections === 2) session.publish("last", {});
    },
  });
  await session.connected(CONNECT_MS);
  expect(await session.subscribe("jobs/x.d.x1.d/updates_available")).toBe(true);
  const all = Array.from({ length: 300 }, (_, i) => `order/${i}`);
  for (const topic of all.slice(0, 100)) session.publish(topic, {});
  await broker.kill();
  for (const topic of all.slice(100)) session.publish(topic, {});
  expect(session.waitingCount).toBeGreaterThan(0);
  const before = broker.log.length;
  await broker.start();
  const expected = [...all, "last"].map((topic) => `${topic} (q1, r0)`);
  await expect.poll(() => broker.published(workerId), PATIENCE).toEqual(expected);
  const later = broker.log.slice(before);
  for (const topic of [topics.tableQueryResult, topics.subnetResult, "jobs/x.d.x1.d/updates_available"]) {
    expect(later).toContain(`${topic} (QoS 1)`);
  }
});

test("of more messages than wait for the broker the oldest is given up, and that is told [defect 40]", async () => {
  await broker.kill();
  const { session, told } = open();
  for (let i = 0; i <= 4096; i++) session.publish(`order/${i}`, {});
  expect([session.waitingCount, told]).toEqual([
    4096,
    ["4096 messages wait for the broker; one to order/0 is given up"],
  ]);
  await session.close(); // says none of them
  await broker.start();
});

test("a broker that is not there is an error with its reason, and is connected to when it is [defect 19, remedy 10]", async () => {
  await broker.kill();
  const { session } = open();
  await expect(session.connected(2000)).rejects.toThrow(
    /^The MQTT broker 127\.0\.0\.1, port \d+, cannot be used: .*ECONNREFUSED/,
  );
  await broker.start();
  await session.connected(CONNECT_MS);
  expect(session.isConnected).toBe(true);
});

test("a broker that acknowledges nothing any more does not hold up the end of a session [defect 19, remedy 10]", async () => {
  const sockets: Socket[] = [];
  const deaf = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket
      .on("error", () => undefined)
      .on("data", (data) => {
        if (data[0] === CONNECT) socket.write(Buffer.from([0x20, 2, 0, 0]));
        if (data[0] === SUBSCRIBE) socket.write(Buffer.from([0x90, 4, data[2] ?? 0, data[3] ?? 0, 1, 1]));
      });
  }).listen(0, "127.0.0.1");
  await once(deaf, "listening");
  const { session } = open({ port: (deaf.address() as AddressInfo).port });
  try {
    await session.connected(CONNECT_MS);
    session.publish("order/0", {});
    await session.close();
    await expect.poll(() => sockets.every((socket) => socket.destroyed || socket.readableEnded), PATIENCE).toBe(true);
  } finally {
    for (const socket of sockets) socket.destroy();
    deaf.close();
  }
});

test("what waits is said before the end, however much it is", async () => {
  const { session, workerId } = open();
  await session.connected(CONNECT_MS);
  const all = Array.from({ length: 200 }, (_, i) => `order/${i}`);
  for (const topic of all) session.publish(topic, {});
  await session.close();
  await expect.poll(() => broker.published(workerId), PATIENCE).toEqual(all.map((topic) => `${topic} (q1, r0)`));
});

test("what is subscribed to while the subscriptions of a new connection are not acknowledged yet is in force in that connection [remedy 15]", async () => {
  const subscribed: Buffer[] = [];
  const slow = createServer((socket: Socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data) => {
      for (let at = 0; at < data.length; at += 2 + (data[at + 1] ?? 0)) {
        const packet = data.subarray(at, at + 2 + (data[at + 1] ?? 0)); // shorter than 128 bytes
        if (packet[0] === CONNECT) socket.write(Buffer.from([0x20, 2, 0, 0])); // CONNACK
        if (packet[0] === SUBSCRIBE) subscribed.push(packet);
        if (subscribed.length < 2) continue;
        const counts = subscribed.splice(0).map((one) => [one, one.includes("jobs/") ? 1 : 2] as const);
        for (const [one, count] of counts) {
          socket.write(Buffer.from([0x90, 2 + count, one[2] ?? 0, one[3] ?? 0, ...Array(count).fill(1)])); // SUBACK
        }
      }
    });
  });
  slow.listen(0, "127.0.0.1");
  await once(slow, "listening");
  const { session } = open({ port: (slow.address() as AddressInfo).port });
  await expect.poll(() => subscribed.length, PATIENCE).toBe(1);
  expect(session.isConnected).toBe(false);
  expect(await session.subscribe("jobs/x.d.x1.d/updates_available")).toBe(true);
  await session.connected(CONNECT_MS);
  await session.close();
  slow.close();
});

test("a subscription that the broker cannot acknowledge comes with the next connection", async () => {
  await broker.kill();
  const { session } = open();
  expect(await session.subscribe("jobs/x.d.x1.d/updates_available")).toBe(false);
  const before = broker.log.length;
  await broker.start();
  await session.connected(CONNECT_MS);
  const later = () => broker.log.slice(before); // its lines come a moment after its packets
  await expect.poll(later, PATIENCE).toContain("jobs/x.d.x1.d/updates_available (QoS 1)");
});

test("a session goes to another host with what waits, after it has ended where it was", async () => {
  const { session, workerId } = open();
  await session.connected(CONNECT_MS);
  for (let i = 0; i < 100; i++) session.publish(`order/${i}`, {});
  const before = broker.log.length;
  await session.moveTo("localhost", CONNECT_MS);
  session.publish("last", {});
  expect([session.host, session.isConnected]).toEqual(["localhost", true]);
  const expected = [...Array.from({ length: 100 }, (_, i) => `order/${i}`), "last"];
  await expect.poll(() => broker.published(workerId), PATIENCE).toEqual(expected.map((topic) => `${topic} (q1, r0)`));
  const lines = broker.log.slice(before).split("\n");
  const said = lines.filter((line) => line.includes(workerId) && /DISCONNECT|New client/.test(line));
  expect(said).toEqual([expect.stringContaining("Received DISCONNECT"), expect.stringContaining("New client")]);
  expect(broker.log).not.toContain(`Client ${workerId} already connected`);
});

test("a session whose new host cannot be used is back where it was, and nothing is lost", async () => {
  let disconnections = 0;
  const { session, workerId } = open({ onDisconnected: () => void disconnections++ });
  await session.connected(CONNECT_MS);
  const moved = session.moveTo("127.0.0.2", 2000); // nobody listens there
  session.publish("meanwhile", {});
  await expect(moved).rejects.toThrow(/^The MQTT broker 127\.0\.0\.2, port \d+, cannot be used: .*ECONNREFUSED/);
  await session.connected(CONNECT_MS);
  expect([session.host, disconnections]).toEqual(["127.0.0.1", 1]);
  await expect.poll(() => broker.published(workerId), PATIENCE).toEqual(["meanwhile (q1, r0)"]);
});
