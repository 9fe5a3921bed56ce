// The commands of docs/two-machines.md, played in their order on two machines.

import { afterAll, beforeAll, expect, test } from "vitest";
import { addNamespaces, addVethPairs, configure } from "../../src/lab/netns.ts";
import { Sandbox } from "../../src/lab/sandbox.ts";
import { describeLab } from "../support/lab.ts";
import { text } from "../support/source-files.ts";
import { Machine, stepsOf } from "../support/walkthrough.ts";

const ADDRESSES = { "node-a": "192.0.2.11/24", "node-b": "192.0.2.12/24" };

describeLab("docs/two-machines.md", () => {
  const steps = stepsOf(text("docs/two-machines.md"));
  let sandbox: Sandbox;

  beforeAll(async () => {
    sandbox = await Sandbox.open();
    await addNamespaces(sandbox, Object.keys(ADDRESSES));
    const [a, b] = Object.keys(ADDRESSES).map((namespace) => ({ namespace, device: "eth0" }));
    if (a !== undefined && b !== undefined) await addVethPairs(sandbox, [{ ends: [a, b], mtu: 1500 }]);
    for (const [name, address] of Object.entries(ADDRESSES)) {
      await configure(sandbox, name, [`addr add ${address} dev eth0`, "link set eth0 up"]);
    }
  });
  afterAll(() => sandbox?.close());

  // `ip netns exec` mounts /sys, which root of a user namespace may not.
  test.skipIf(Sandbox.needsUserNamespace)("leads from nothing to a call, and to a second server", async () => {
    expect(steps.filter(({ prints }) => prints?.includes("hello from node-b"))).toHaveLength(2);
    const machines = new Map<string, Machine>();
    for (const name of Object.keys(ADDRESSES)) machines.set(name, await Machine.open(sandbox, name));
    for (const step of steps) {
      const machine = machines.get(step.machine);
      if (machine === undefined) throw new Error(`The document names a machine ${step.machine}, which there is not.`);
      await machine.play(step);
    }
  });
});
