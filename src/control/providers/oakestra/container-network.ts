// What a container has of the node's network: an interface on the bridge, addresses, routes and mapped ports. Each step is
// undone by its opposite, whether it was done, done half or not at all.

import { createHash } from "node:crypto";
import { hasInterface } from "../../../sys/interface-state.ts";
import { ipBatch } from "../../../sys/ip-command.ts";
import { addNamedNetns, hasNamedNetns, OpenNetns, removeNamedNetns } from "../../../sys/process-netns.ts";
import { announcement, BRIDGE } from "./bridge.ts";
import type { Connections } from "./connections.ts";
import type { Container, Guest } from "./container.ts";
import type { Firewall } from "./firewall-rules.ts";
import { allowForwarding } from "./forwarding.ts";
import { addTap, hardwareAddress } from "./guest-network.ts";
import { bridgeAddresses, type Subnet, V4_LENGTH, V6_LENGTH } from "./subnet.ts";

interface ContainerNetworkOptions {
  readonly subnet: Subnet;
  readonly mtu: number;
  readonly firewall: Firewall;
  readonly connections: Connections;
  readonly tun: string;
}

export class ContainerNetwork {
  readonly #options: ContainerNetworkOptions;

  constructor(options: ContainerNetworkOptions) {
    this.#options = options;
  }

  /** The host's end of a container's interface, made of the name, so that a leftover is recognised. */
  deviceOf(job: string, number: number): string {
    return `veth00${createHash("sha256").update(`${job}.${number}`).digest("hex").slice(0, 9)}`;
  }

  /** Whether interface and namespace are still there. */
  has({ device, guest }: Container): boolean {
    return hasInterface(device) && (guest === undefined || hasNamedNetns(guest.netns));
  }

  /** Throws when a step fails; then `remove` undoes what was done. `netns` is the container's, a unikernel has none yet. */
  async add(container: Container, netns: OpenNetns | undefined): Promise<void> {
    await allowForwarding();
    await this.remove(container); // what a process that died within a deploy has left
    if (netns !== undefined) await this.#addInterface(container, netns);
    else if (container.guest !== undefined) await this.#addGuest(container, container.guest);
  }

  /** Its interface takes addresses and routes along. */
  async remove({ device, guest }: Container): Promise<void> {
    await this.#removeInterface(device);
    if (guest !== undefined) await removeNamedNetns(guest.netns);
  }

  /** Once nothing leads to the container any more. */
  forgetConnections({ addresses }: Container): Promise<void> {
    return this.#options.connections.forgetContainer(addresses);
  }

  /** Maps the ports of one container more. */
  async mapPortsOf(container: Container, others: readonly Container[]): Promise<void> {
    if (container.mappings.length === 0) return;
    await this.mapPorts([...others, container]);
    await this.#options.connections.forgetUnmapped(container.mappings);
  }

  async #addGuest(container: Container, { netns: name, tap }: Guest): Promise<void> {
    await addNamedNetns(name);
    const netns = OpenNetns.named(name);
    try {
      await this.#addInterface(container, netns);
      await addTap(
        tap,
        { netns, peer: peerOf(container.device), addresses: container.addresses },
        this.#options.firewall,
      );
    } finally {
      netns.close();
    }
  }

  async #addInterface({ device, addresses, guest }: Container, netns: OpenNetns): Promise<void> {
    const { mtu } = this.#options;
    const peer = peerOf(device);
    // With a macvtap the addresses are the guest's, which answers with the hardware address of the tap.
    const mac = hardwareAddress(addresses, guest?.tap === "macvtap" ? "43" : "42");
    await ipBatch([
      `link add name ${device} mtu ${mtu} type veth peer name ${peer} mtu ${mtu} address ${mac} netns ${netns.path}`,
      `link set dev ${device} master ${BRIDGE}`,
      `link set dev ${device} up`,
    ]);
    const gateway = bridgeAddresses(this.#options.subnet);
    // Without duplicate detection (nodad) the address can be used as soon as the deploy is answered.
    await netns.ipBatch([
      `addr add ${addresses.v4}/${V4_LENGTH} dev ${peer}`,
      `addr add ${addresses.v6}/${V6_LENGTH} dev ${peer} nodad`,
      `link set dev ${peer} up`,
      `route add default via ${gateway.v4} dev ${peer}`,
      `route add default via ${gateway.v6} dev ${peer}`,
    ]);
  }

  /** What these containers need of the node after a start: the bridge may be a new one, or that of another subnet. */
  async restore(containers: readonly Container[]): Promise<void> {
    const commands = containers.map(({ device }) => `link set dev ${device} master ${BRIDGE} up`);
    if (commands.length > 0) await ipBatch([...commands, announcement(this.#options.subnet)]);
    await allowForwarding();
    await this.mapPorts(containers);
  }

  /** From now on the ports of these containers are mapped, and no others. */
  mapPorts(containers: readonly Container[]): Promise<void> {
    const { subnet, tun, firewall } = this.#options;
    return firewall.replace({ subnet, devices: [BRIDGE, tun] }, containers);
  }

  async #removeInterface(device: string): Promise<void> {
    if (!hasInterface(device)) return; // it went with its namespace
    try {
      await ipBatch([`link del dev ${device}`]);
    } catch (error) {
      if (hasInterface(device)) throw error;
    }
  }
}

function peerOf(device: string): string {
  return device.replace(/^veth00/, "veth01");
}
