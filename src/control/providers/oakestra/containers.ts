// The containers of this node: each gets an interface on the bridge, addresses of the node's subnet, routes and its
// mapped ports. Promises: a deploy that fails at any step leaves nothing of it; what is undeployed leaves nothing
// either.

import { createHash } from "node:crypto";
import { SapwoodError } from "../../../base/errors.ts";
import { UndoStack } from "../../../base/undo-stack.ts";
import { ipBatch } from "../../../sys/ip-command.ts";
import { ipBatchIn, namespaceOf, requireOtherNamespace } from "../../../sys/process-netns.ts";
import { BRIDGE, hasInterface } from "./bridge.ts";
import { mapPorts, unmapPorts } from "./firewall.ts";
import type { PortMapping } from "./port-mappings.ts";
import { type AddressPair, AddressPool, bridgeAddresses, type Subnet, V4_LENGTH, V6_LENGTH } from "./subnet.ts";

export interface ContainerOrder {
  readonly pid: number;
  readonly job: string;
  readonly number: number;
  readonly mappings: readonly PortMapping[];
}

export interface Container {
  readonly job: string;
  readonly number: number;
  readonly addresses: AddressPair;
  readonly device: string; // the host's end of its interface
  readonly mappings: readonly PortMapping[];
}

export interface ContainersOptions {
  readonly subnet: Subnet;
  readonly mtu: number;
  /** Those of a process before; they are kept if their interface is still there. */
  readonly found: readonly Container[];
  readonly onUndoFailure: (what: string, error: unknown) => void;
}

export class Containers {
  readonly #options: ContainersOptions;
  readonly #pool: AddressPool;
  readonly #containers = new Map<string, Container>();

  constructor(options: ContainersOptions) {
    this.#options = options;
    for (const container of options.found) {
      if (hasInterface(container.device)) this.#containers.set(keyOf(container.job, container.number), container);
    }
    this.#pool = new AddressPool(
      options.subnet,
      this.all.map(({ addresses }) => addresses),
    );
  }

  get all(): readonly Container[] {
    return [...this.#containers.values()];
  }

  find(job: string, number: number): Container | undefined {
    return this.#containers.get(keyOf(job, number));
  }

  hasJob(job: string): boolean {
    return this.all.some((container) => container.job === job);
  }

  /** One that has the name already is replaced: its process is another one now. */
  async deploy({ pid, job, number, mappings }: ContainerOrder): Promise<Container> {
    requireOtherNamespace(pid);
    await this.undeploy(job, number);
    const undo = new UndoStack(this.#options.onUndoFailure);
    try {
      const addresses = this.#pool.take();
      undo.add("release the addresses", () => this.#pool.release(addresses));
      const [device, peer] = deviceNames(job, number);
      await this.#addInterface(device, peer, hardwareAddress(addresses), undo);
      await this.#configure(pid, peer, addresses);
      await mapPorts({ addresses, mappings });
      const container = { job, number, addresses, device, mappings };
      this.#containers.set(keyOf(job, number), container);
      return container;
    } catch (error) {
      await undo.run();
      throw error;
    }
  }

  /** Undefined when there is no such container. */
  async undeploy(job: string, number: number): Promise<Container | undefined> {
    const container = this.find(job, number);
    if (container === undefined) return undefined;
    const undo = new UndoStack(this.#options.onUndoFailure);
    undo.add("release the addresses", () => this.#pool.release(container.addresses));
    undo.add("remove the interface", () => removeInterface(container.device));
    undo.add("unmap the ports", () => unmapPorts(container));
    this.#containers.delete(keyOf(job, number));
    await undo.run();
    return container;
  }

  async #addInterface(device: string, peer: string, mac: string, undo: UndoStack): Promise<void> {
    const { mtu } = this.#options;
    await removeInterface(device); // of a process that died within a deploy
    undo.add("remove the interface", () => removeInterface(device));
    await ipBatch([
      `link add name ${device} mtu ${mtu} type veth peer name ${peer} mtu ${mtu} address ${mac}`,
      `link set dev ${device} master ${BRIDGE}`,
      `link set dev ${device} up`,
    ]);
  }

  async #configure(pid: number, peer: string, { v4, v6 }: AddressPair): Promise<void> {
    const gateway = bridgeAddresses(this.#options.subnet);
    await ipBatch([`link set dev ${peer} netns ${namespaceOf(pid)}`]);
    // Without duplicate detection (nodad) the address can be used as soon as the deploy is answered.
    await ipBatchIn(pid, [
      `addr add ${v4}/${V4_LENGTH} dev ${peer}`,
      `addr add ${v6}/${V6_LENGTH} dev ${peer} nodad`,
      `link set dev ${peer} up`,
      `route add default via ${gateway.v4} dev ${peer}`,
      `route add default via ${gateway.v6} dev ${peer}`,
    ]);
  }
}

/** The host's end and the container's, made of the name, so that a leftover is recognised. */
function deviceNames(job: string, number: number): [device: string, peer: string] {
  const hash = createHash("sha256").update(keyOf(job, number)).digest("hex").slice(0, 9);
  return [`veth00${hash}`, `veth01${hash}`];
}

/**
 * Made of the namespace address, and locally administered (IEEE 802). So whoever knew an earlier container with that
 * address, as the node's own kernel does for half a minute, reaches the one that has it now.
 */
function hardwareAddress({ v4 }: AddressPair): string {
  const bytes = v4.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"));
  return ["02", "42", ...bytes].join(":");
}

async function removeInterface(device: string): Promise<void> {
  if (!hasInterface(device)) return; // it went with its namespace
  try {
    await ipBatch([`link del dev ${device}`]);
  } catch (error) {
    if (hasInterface(device) || !(error instanceof SapwoodError)) throw error;
  }
}

function keyOf(job: string, number: number): string {
  return `${job}.${number}`;
}
