// Who sent a message: the node that the tables know at the sockaddr it came from. What comes from anybody else is no
// business of ours, unless the configuration lets strangers send.

import { generation } from "../area/generation.ts";
import * as Header from "../record/header.ts";
import { Endpoint } from "../record/node.ts";
import * as HeaderLayout from "../shared/layout/header.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import { findSender } from "./address.ts";
import { endpointAt, isNodeKnown } from "./node.ts";

// The last answer: messages come in runs, and one that is alone is mostly from the same node as the one before.
let lastGeneration: u32 = 0;
let lastUpper: u64 = 0;
let lastLower: u64 = 0;
let lastPort: u32 = 0;
let lastNode: u32 = 0; // NodeLayout.LOCAL

/**
 * The node whose datagrams come from the sockaddr at `name`; else NodeLayout.STRANGER, or NodeLayout.LOCAL when
 * nobody's may.
 */
export function senderNode(name: usize): u32 {
  const upper = Endpoint.at(name).addressUpper;
  const lower = Endpoint.at(name).addressLower;
  const port = <u32>Endpoint.at(name).port;
  if (lower == lastLower && port == lastPort && upper == lastUpper && generation == lastGeneration) return lastNode;
  lastNode = findSender(name);
  if (lastNode == NodeLayout.LOCAL && (Header.answers.value & HeaderLayout.ACCEPT_STRANGERS) != 0)
    lastNode = NodeLayout.STRANGER;
  lastGeneration = generation;
  lastUpper = upper;
  lastLower = lower;
  lastPort = port;
  return lastNode;
}

/** Whether the sender may speak for service addresses that the tables lack: as the configuration says of it. */
export function acceptsUnknownSources(sender: u32): bool {
  return sender == NodeLayout.STRANGER || accepts(sender, NodeLayout.ACCEPTS_UNKNOWN_SOURCES);
}

/** Whether what comes from the sender may be of an instance on `node`. */
export function speaksFor(sender: u32, node: u32): bool {
  return (
    sender == node || (node != NodeLayout.LOCAL && isNodeKnown(node) && accepts(node, NodeLayout.ACCEPTS_ANY_ADDRESS))
  );
}

function accepts(node: u32, what: u32): bool {
  return (Endpoint.at(endpointAt(node)).accepts & what) != 0;
}
