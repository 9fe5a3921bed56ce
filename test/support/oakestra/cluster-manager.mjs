// A cluster service manager and the root above it, as far as a worker node meets them over MQTT, written from the
// interface's description. Every byte that it receives is held to that: what breaks the rules is reported as a violation.
//
//   cluster-manager.mjs PORT      reads orders, one JSON object a line; prints events, one JSON object a line
import { createInterface } from "node:readline";
import mqtt from "mqtt";

const NAME = /^[a-zA-Z0-9]{1,30}$/;
const TOPIC = /^nodes\/([\w-]+)\/net\/(.+)$/;
const ADDRESS_V4 = /^\d{1,3}(\.\d{1,3}){3}$/;
const ADDRESS_V6 = /^[0-9a-f:]+$/;

/** Jobs by name: { addresses: [...], instances: Map(number -> record), ordered: numbers of all that ever were }. */
const jobs = new Map();
/** "worker job" of all interests that queries obtained. */
const interests = new Set();
const subnets = new Map();
/** How it answers: "now", "silent", "twice", "garbage"; delayMs; whether it knows nothing of an instance's deployment. */
let behaviour = { answers: "now", delayMs: 0, gives: "subnet" };
let nextSubnet = 1;

const client = mqtt.connect({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  clientId: "cluster-manager",
  clean: true,
});
client.on("connect", () => client.subscribe("nodes/+/net/#", { qos: 1 }, () => print({ event: "ready" })));
client.on("message", (topic, payload, packet) => receive(topic, payload, packet));
client.on("error", () => undefined); // it connects anew

function print(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function publish(topic, message) {
  client.publish(topic, typeof message === "string" ? message : JSON.stringify(message), { qos: 1 });
}

function receive(topic, payload, { qos, retain }) {
  const [, worker, what] = TOPIC.exec(topic) ?? [];
  if (worker === undefined || what === "tablequery/result" || what === "subnetwork/result") return;
  const text = payload.toString("utf8");
  const violation = (why) => print({ event: "violation", topic, payload: text, why });
  if (qos !== 1 || retain) violation(`expected QoS 1 without retain, found ${qos} and ${retain}`);
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return violation("expected JSON");
  }
  if (typeof message !== "object" || message === null || Array.isArray(message)) return violation("expected an object");
  const rules = RULES[what];
  if (rules === undefined) return violation("expected a topic of the interface");
  const keys = Object.keys(message).join(",");
  if (keys !== rules.keys) violation(`expected the keys ${rules.keys}`);
  const why = rules.check(message, worker);
  if (why !== undefined) return violation(why);
  print({ event: "message", worker, what, message, payload: text });
  rules.handle(message, worker);
}

function isJob(name) {
  return typeof name === "string" && name.split(".").length === 4 && name.split(".").every((part) => NAME.test(part));
}

function hostProblem({ host_ip, host_port }) {
  if (typeof host_port !== "string" || !/^\d+$/.test(host_port)) return "expected host_port as a string of digits";
  return ADDRESS_V4.test(host_ip) || ADDRESS_V6.test(host_ip) ? undefined : "expected host_ip as an address";
}

const RULES = {
  "subnet": {
    keys: "METHOD",
    check: ({ METHOD }) => (METHOD === "GET" ? undefined : "expected GET"),
    handle: (_message, worker) => {
      if (behaviour.gives === "nothing") return;
      const topic = `nodes/${worker}/net/subnetwork/result`;
      if (behaviour.gives === "garbage") return publish(topic, '{"address":"10.18.0.6');
      const at = nextSubnet++;
      const subnet = { address: `10.18.${at >> 2}.${64 * (at & 3)}`, addressv6: `fc00::${at.toString(16)}00` };
      subnets.set(worker, subnet);
      setTimeout(() => {
        publish(topic, subnet);
        publish(topic, subnet); // a second one has nobody to go to
      }, behaviour.delayMs);
    },
  },
  "service/deployed": {
    keys: "appname,status,instance_number,nsip,nsipv6,host_port,host_ip",
    check: (message) => {
      if (!isJob(message.appname)) return "expected the full name of a job";
      if (message.status !== "DEPLOYED") return "expected the status DEPLOYED";
      // One that the root has taken back meanwhile may be told again: no worker hears of that before its undeploy.
      if (!jobs.get(message.appname)?.ordered.has(message.instance_number))
        return "expected an instance that was ordered";
      if (!ADDRESS_V4.test(message.nsip)) return "expected an IPv4 namespace address";
      if (!ADDRESS_V6.test(message.nsipv6)) return "expected an IPv6 namespace address";
      return hostProblem(message);
    },
    handle: ({ appname, instance_number, nsip, nsipv6, host_ip, host_port }, worker) => {
      const record = jobs.get(appname)?.instances.get(instance_number);
      if (record === undefined) return;
      Object.assign(record, { worker_id: worker, namespace_ip: nsip, namespace_ip_v6: nsipv6 });
      Object.assign(record, { host_ip, host_port: Number(host_port) });
      updated(appname, "DEPLOYMENT");
    },
  },
  "service/address-changed": {
    keys: "appname,status,instance_number,nsip,nsipv6,host_port,host_ip",
    check: (message) => {
      if (!jobs.has(message.appname)) return "expected the full name of a job that is known";
      if ([message.status, message.nsip, message.nsipv6].some((text) => text !== "")) return "expected empty fields";
      return hostProblem(message);
    },
    handle: ({ appname, instance_number, host_ip, host_port }) => {
      Object.assign(jobs.get(appname).instances.get(instance_number) ?? {}, { host_ip, host_port: Number(host_port) });
      updated(appname, "DEPLOYMENT");
    },
  },
  "tablequery/request": {
    keys: "sname,sip",
    check: ({ sname, sip }) => {
      if (typeof sname !== "string" || typeof sip !== "string") return "expected two texts";
      if ((sname === "") === (sip === "")) return "expected a name or an address";
      return sname === "" || isJob(sname) ? undefined : "expected the name of a job";
    },
    handle: ({ sname, sip }, worker) => {
      if (behaviour.answers === "silent") return;
      setTimeout(() => answer(sname, sip, worker), behaviour.delayMs);
    },
  },
  "interest/remove": {
    keys: "appname",
    check: ({ appname }, worker) => {
      // The real one ends its MQTT thread here, and with it the whole cluster.
      return interests.has(`${worker} ${appname}`) ? undefined : "expected an interest that the worker has";
    },
    handle: ({ appname }, worker) => void interests.delete(`${worker} ${appname}`),
  },
};

function answer(sname, sip, worker) {
  const [name = sname] = sip === "" ? [sname] : [...jobs].filter(([, job]) => hasAddress(job, sip)).map(([one]) => one);
  const job = jobs.get(name);
  if (job !== undefined) interests.add(`${worker} ${name}`);
  const list = [...(job?.instances.values() ?? [])].map((record) => ({
    ...record,
    service_ip: [
      ...job.addresses,
      { IpType: "instance_ip", Address: record.instance_ip, Address_v6: record.instance_ip_v6 },
    ],
  }));
  const result = { app_name: job === undefined ? sname : name, instance_list: list, query_key: sip || sname };
  const topic = `nodes/${worker}/net/tablequery/result`;
  if (behaviour.answers === "garbage") return publish(topic, '{"app_name":[');
  publish(topic, result);
  if (behaviour.answers === "twice") publish(topic, result);
}

function hasAddress({ addresses, instances }, sip) {
  const own = [...instances.values()].flatMap((one) => [one.instance_ip, one.instance_ip_v6]);
  return [...addresses.flatMap((one) => [one.Address, one.Address_v6]), ...own].includes(sip);
}

function updated(job, type) {
  publish(`jobs/${job}/updates_available`, { type });
}

const ORDERS = {
  /** The root accepts a service. */
  service: ({ job, addresses }) => jobs.set(job, { addresses, instances: new Map(), ordered: new Set() }),
  /** The root orders an instance. */
  instance: ({ job, number, ip, ipv6, ...more }) => {
    const record = { instance_number: number, instance_ip: ip, instance_ip_v6: ipv6, cluster_id: "c", ...more };
    jobs.get(job).instances.set(number, record);
    jobs.get(job).ordered.add(number);
  },
  removeInstance: ({ job, number }) => {
    jobs.get(job).instances.delete(number);
    updated(job, "UNDEPLOYMENT");
  },
  /** Anything in the place of an instance. */
  oddInstance: ({ job, number, record }) => void jobs.get(job).instances.set(number, record),
  behave: (order) => {
    behaviour = { ...behaviour, ...order };
  },
  /** As at each of its starts. It forgets no others, because their worker may be just about to give one up. */
  forget: ({ worker, job }) => void interests.delete(`${worker} ${job}`),
  update: ({ job }) => updated(job, "DEPLOYMENT"),
  say: ({ topic, payload }) => publish(topic, payload),
  interests: () => print({ event: "interests", interests: [...interests].sort() }),
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const { order, ...rest } = JSON.parse(line);
  ORDERS[order](rest);
  print({ event: "done", order });
});
