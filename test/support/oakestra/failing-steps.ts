// Deploys and undeploys that fail at each of their steps, with both kinds of firewall and both layouts of a unikernel's
// device. The nodes of one cluster work at the same time.
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../../../src/lab/lab.ts";
import { type HttpAnswer, OakestraCluster } from "./cluster.ts";
import { type Fault, FaultyTools, type FIREWALL_TOOLS } from "./faulty-tools.ts";
import { nodeState } from "./node-state.ts";

const WITHOUT_NFT = "mount --bind /dev/null $(command -v nft)";
/** The first addresses of a subnet. Where one was lost on the way, the next container has others. */
const FIRST = { nsAddress: expect.stringMatching(/\.(?:2|66|130|194)$/), nsAddressv6: expect.stringMatching(/02$/) };
/** A busy machine needs long for some 10,000 processes. */
const TIMEOUT_MS = 1_200_000;

interface Kind {
  readonly route: "container" | "unikernel";
  /** Least numbers of steps, so that none is overlooked: of the deploy, and of the undeploy. */
  readonly deploySteps: number;
  readonly undeploySteps: number;
}

interface Machine {
  readonly node: string;
  readonly firewall: keyof typeof FIREWALL_TOOLS;
  /** Seen in the rules when it is this firewall that has them. */
  readonly mark: string;
  readonly tap: "bridge" | "macvtap";
  readonly kinds: readonly [Kind, ...Kind[]];
}

const MACHINES: readonly [Machine, ...Machine[]] = [
  {
    ...{ node: "node-a", firewall: "nftables", mark: "table inet sapwood_netmanager", tap: "bridge" },
    kinds: [
      { route: "container", deploySteps: 10, undeploySteps: 2 },
      { route: "unikernel", deploySteps: 21, undeploySteps: 3 },
    ],
  },
  {
    ...{ node: "node-b", firewall: "iptables", mark: "chain OAKESTRA", tap: "bridge" },
    kinds: [
      { route: "container", deploySteps: 14, undeploySteps: 5 },
      { route: "unikernel", deploySteps: 26, undeploySteps: 6 },
    ],
  },
  {
    ...{ node: "node-c", firewall: "nftables", mark: "table inet sapwood_netmanager", tap: "macvtap" },
    kinds: [{ route: "unikernel", deploySteps: 14, undeploySteps: 3 }],
  },
];

/** Kinds of fault that a step of a machine, by its number among them, has in turn. */
type FaultsOf = (step: number, machine: number) => readonly Fault[];

/** At least `count` deploys and undeploys, failing at every single step. Compares all that may be left over. */
export function testFailingSteps(title: string, count: number, faultsOf: FaultsOf): void {
  let cluster: OakestraCluster;
  const pids = new Map<Machine, number>();
  const tools = new Map<Machine, FaultyTools>();
  const calls = { deploys: 0, undeploys: 0 };

  beforeAll(async () => {
    cluster = await OakestraCluster.open(MACHINES.length);
    await Promise.all(MACHINES.map(start));
  });
  afterAll(() => cluster?.close());

  const work = async (): Promise<void> => {
    await Promise.all(MACHINES.map(failAtEachStepOf));
    const [machine] = MACHINES;
    const before = await stateOf(machine);
    while (Math.min(calls.deploys, calls.undeploys) < count) {
      expect((await deploy(machine, machine.kinds[0])).status).toBe(200);
      expect((await undeploy(machine, machine.kinds[0])).status).toBe(200);
    }
    expect(await stateOf(machine)).toBe(before);
    process.stdout.write(`${calls.deploys} deploys and ${calls.undeploys} undeploys\n`);
    await eventually("the interests to end", async () => (await cluster.interests()).length === 0, 120_000);
    await eventually("the broker to be told", async () => subscribedJobs(cluster.brokerLog).length === 0);
    expect(cluster.violations()).toEqual([]);
  };
  test(title, work, TIMEOUT_MS);

  async function start(machine: Machine): Promise<void> {
    const { node, firewall, tap } = machine;
    const number = MACHINES.indexOf(machine);
    const faulty = await FaultyTools.make(cluster.lab.sandbox, node, firewall);
    const take = firewall === "iptables" ? WITHOUT_NFT : ":";
    // Namespaces by name stay visible for everybody.
    const unshare = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-e", "-c", `${take}; exec "$@"`, "sh"];
    await cluster.startNode(node, {}, [await faulty.path(), `UnikernelTap=${tap}`, ...unshare]);
    expect((await cluster.register(node, `65a00000000000000000000${number}`)).status).toBe(200);
    const [pid = 0] = await cluster.startNamespaces(1);
    pids.set(machine, pid);
    tools.set(machine, faulty);
    await cluster.order("service", { job: jobOf(machine), addresses: [] });
    await cluster.order("instance", {
      job: jobOf(machine),
      number: 0,
      ip: `10.30.0.${number}`,
      ipv6: `fdff::${number}`,
    });
  }

  async function failAtEachStepOf(machine: Machine): Promise<void> {
    // A bridge that had a port once has a link-local address, and no carrier without one; iptables leaves its own chains.
    expect((await deploy(machine, machine.kinds[0])).status).toBe(200);
    expect(await stateOf(machine)).toContain(machine.mark);
    expect((await undeploy(machine, machine.kinds[0])).status).toBe(200);
    const before = await stateOf(machine);
    for (const kind of machine.kinds) await failAtEachStep(machine, kind, before);
  }

  async function failAtEachStep(machine: Machine, kind: Kind, before: string): Promise<void> {
    const faulty = toolsOf(machine);
    faulty.watch();
    expect(JSON.parse((await deploy(machine, kind)).body)).toMatchObject(FIRST);
    const ofDeploy = faulty.count();
    expect((await undeploy(machine, kind)).status).toBe(200);
    const steps = faulty.count();
    expect(ofDeploy).toBeGreaterThanOrEqual(kind.deploySteps);
    expect(steps - ofDeploy).toBeGreaterThanOrEqual(kind.undeploySteps);
    for (let step = 1; step <= steps; step++) {
      for (const fault of faultsOf(step, MACHINES.indexOf(machine))) {
        const what = `${machine.firewall}, ${machine.tap}, ${kind.route}, ${fault}, step ${step}`;
        faulty.failAt(step, fault);
        const deployed = await deploy(machine, kind);
        const undeployed = step > ofDeploy ? await undeploy(machine, kind) : undefined;
        faulty.repair();
        if (undeployed === undefined) {
          expect(deployed, what).toEqual({ status: 500, body: expect.stringContaining("a fault of the test") });
          if (fault !== "lasting") expect(await stateOf(machine), what).toBe(before);
        } else {
          expect([deployed.status, undeployed.status], what).toEqual([200, expect.toBeOneOf([200, 500])]);
        }
        // What could not be undone meanwhile is undone by then. What is undone already may be undeployed all the same.
        expect(await undeploy(machine, kind), what).toEqual({ status: 200, body: "" });
        expect(await stateOf(machine), what).toBe(before);
      }
    }
    expect(JSON.parse((await deploy(machine, kind)).body)).toMatchObject(FIRST);
    expect((await undeploy(machine, kind)).status).toBe(200);
  }

  function deploy(machine: Machine, { route }: Pick<Kind, "route">): Promise<HttpAnswer> {
    calls.deploys++;
    const pid = route === "container" ? pids.get(machine) : 0;
    const order = { pid, serviceName: jobOf(machine), instanceNumber: 0, portMappings: "8000:80;8000:80/udp" };
    return cluster.post(machine.node, `/${route}/deploy`, order);
  }

  function undeploy(machine: Machine, { route }: Pick<Kind, "route">): Promise<HttpAnswer> {
    calls.undeploys++;
    const order = { serviceName: jobOf(machine), instanceNumber: 0 };
    return cluster.post(machine.node, `/${route}/undeploy`, order);
  }

  function stateOf(machine: Machine): Promise<string> {
    return nodeState(cluster, machine.node, jobOf(machine), pids.get(machine));
  }

  function toolsOf(machine: Machine): FaultyTools {
    const faulty = tools.get(machine);
    if (faulty === undefined) throw new Error(`${machine.node} was not started.`);
    return faulty;
  }
}

function jobOf({ node }: Machine): string {
  return `${node.replace("-", "")}.d.server.d`;
}

/** "worker job" that the broker still sends updates of. */
function subscribedJobs(brokerLog: string): string[] {
  const subscribed = new Set<string>();
  let change: { readonly worker: string; readonly isMore: boolean } | undefined;
  for (const line of brokerLog.split("\n")) {
    const [, what, worker = ""] = /Received (SUBSCRIBE|UNSUBSCRIBE) from (\S+)/.exec(line) ?? [];
    const [, topic] = /: \t(jobs\/\S+)/.exec(line) ?? [];
    if (what !== undefined) change = { worker, isMore: what === "SUBSCRIBE" };
    else if (topic !== undefined && change?.isMore === true) subscribed.add(`${change.worker} ${topic}`);
    else if (topic !== undefined) subscribed.delete(`${change?.worker} ${topic}`);
  }
  return [...subscribed];
}
