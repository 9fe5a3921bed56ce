// What the node's address translation has to do, whoever does it.

import type { OpenNetns } from "../../../sys/process-netns.ts";
import type { PortMapping } from "./port-mappings.ts";
import type { AddressPair, Subnet } from "./subnet.ts";

/** Chain of mapped ports, under the name that Oakestra's NetManager gives it and that others look for. */
export const PORTS_CHAIN = "OAKESTRA";

export interface GuestPlace {
  readonly netns: OpenNetns;
  /** The interface in the namespace. */
  readonly peer: string;
  readonly addresses: AddressPair;
}

export interface FirewallOptions {
  readonly subnet: Subnet;
  /** Interfaces between containers and services: what passes them keeps its addresses. */
  readonly devices: readonly string[];
}

export interface MappedPorts {
  readonly addresses: AddressPair;
  readonly mappings: readonly PortMapping[];
}

export interface Firewall {
  /**
   * Makes the rules anew, in one step and with these ports alone, whatever there was before: connections that are
   * translated already stay so. Throws missing-rights or network-setup.
   */
  replace(options: FirewallOptions, ports: readonly MappedPorts[]): Promise<void>;
  /** Removes the rules, if there are any. */
  remove(): Promise<void>;
  /** In a unikernel's namespace: what comes to its addresses goes to the guest, which sends from them. */
  leadToGuest(place: GuestPlace, guest: AddressPair): Promise<void>;
}
