// Who sent a message: the node that the tables know at the sockaddr it came from. What comes from anybody else is no
// business of ours.

import { generation } from "../area/generation.ts";
import { ACCEPTS_UNKNOWN_SOURCES, ENDPOINT_ACCEPTS, SOCKADDR_ADDRESS, SOCKADDR_PORT } from "../shared/layout.ts";
import { findSender } from "./address.ts";
import { endpointAt } from "./node.ts";

// The last answer: messages come in runs, and one that is alone is mostly from the same node as the one before.
let lastGeneration: u32 = 0;
let lastUpper: u64 = 0;
let lastLower: u64 = 0;
let lastPort: u32 = 0;
let lastNode: u32 = 0; // LOCAL_NODE

/** The node whose datagrams come from the sockaddr at `name`, or LOCAL_NODE: nobody's do. */
export function senderNode(name: usize): u32 {
  const upper = load<u64>(name, SOCKADDR_ADDRESS);
  const lower = load<u64>(name, SOCKADDR_ADDRESS + 8);
  const port = <u32>load<u16>(name, SOCKADDR_PORT);
  if (lower == lastLower && port == lastPort && upper == lastUpper && generation == lastGeneration) return lastNode;
  lastNode = findSender(name);
  lastGeneration = generation;
  lastUpper = upper;
  lastLower = lower;
  lastPort = port;
  return lastNode;
}

/** Whether the node may speak for service addresses that the tables lack: as the configuration says of it. */
export function acceptsUnknownSources(node: u32): bool {
  return (load<u32>(endpointAt(node), ENDPOINT_ACCEPTS) & ACCEPTS_UNKNOWN_SOURCES) != 0;
}
