// What a flow's rewrites do to checksums, computed once from what its record says.

import { addressDelta, wordDelta } from "../checksum/incremental.ts";
import { fold } from "../checksum/sum.ts";
import { Flow } from "../record/flow.ts";

/** To be called when the addresses and ports of a record are complete. */
export function setDeltas(flow: usize): void {
  const client = Flow.at(flow).client;
  const called = Flow.at(flow).called;
  const clientPort = Flow.at(flow).clientPort;
  const wirePort = Flow.at(flow).wirePort;
  const forward =
    addressDelta(client, Flow.at(flow).clientInstanceAddress) +
    addressDelta(called, Flow.at(flow).target) +
    wordDelta(clientPort, wirePort);
  const reverse =
    addressDelta(Flow.at(flow).targetInstanceAddress, called) +
    addressDelta(Flow.at(flow).answered, client) +
    wordDelta(wirePort, clientPort);
  Flow.at(flow).forwardDelta = <u16>fold(forward);
  Flow.at(flow).reverseDelta = <u16>fold(reverse);
}
