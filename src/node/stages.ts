// What the stages of a node's start opened, for the last one and for a takeover.

import type { OpenConfig } from "./open-config.ts";
import type { Devices } from "./open-devices.ts";
import type { OpenNetwork } from "./open-network.ts";
import type { OpenTables } from "./open-tables.ts";
import type { OpenWorkers } from "./open-workers.ts";

export interface Stages extends OpenConfig, Devices, OpenTables, OpenNetwork, OpenWorkers {}
