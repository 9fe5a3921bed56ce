// A container of this node, or a unikernel, as it is remembered.

import type { NetnsProcess } from "../../../sys/process-netns.ts";
import type { TapLayout } from "./guest-network.ts";
import type { PortMapping } from "./port-mappings.ts";
import type { AddressPair } from "./subnet.ts";

export interface Container {
  readonly job: string;
  readonly number: number;
  readonly addresses: AddressPair;
  readonly device: string; // the host's end of its interface
  readonly mappings: readonly PortMapping[];
  readonly process?: NetnsProcess | undefined;
  /** Of a unikernel. */
  readonly guest?: Guest | undefined;
}

export interface Guest {
  /** Namespace by name, where the machine that runs the unikernel finds its interface. */
  readonly netns: string;
  readonly tap: TapLayout;
}

/** What has to outlive the process. */
export interface SavedContainers {
  readonly containers: readonly Container[];
  /** Of which something may be left over. */
  readonly leaving: readonly Container[];
}
