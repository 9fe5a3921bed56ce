// What can be switched on the node itself: offloads, and the key of the encrypted underlay.

import * as z from "zod";
import type { OffloadSwitch } from "../../../dataplane/worker/offload-switch.ts";
import { KeyReport, OffloadReports, TakeoverReport } from "../../../model/reports.ts";
import { OFFLOAD_SWITCHES } from "../../../sys/offload.ts";
import type { EncryptedUnderlay } from "../../underlay/encrypted-underlay.ts";
import type { ChangeGate } from "../change-gate.ts";
import { type Route, routesOn } from "../route.ts";

export interface NodeParts {
  /** Calls back the process that waits beside the control socket. */
  readonly takeover: { begin(): void };
  readonly changes: Pick<ChangeGate, "run">;
  readonly offloads: Pick<OffloadSwitch, "states" | "set">;
  /** Throws not-found when the underlay is not encrypted. */
  readonly key: () => Pick<EncryptedUnderlay, "report" | "activateNextKey">;
}

const ORDER_MAX_BYTES = 65_536;
const offloadOrder = z.object({
  name: z.enum(OFFLOAD_SWITCHES, { error: `one of ${OFFLOAD_SWITCHES.map((name) => `"${name}"`).join(", ")}` }),
  on: z.boolean({ error: "true or false" }),
});

const route = routesOn<NodeParts>();

export const NODE_ROUTES: readonly Route<NodeParts>[] = [
  route({
    method: "GET",
    path: "/v1/offloads",
    summary: "Offloads, and why one is off",
    answers: OffloadReports,
    handle: ({ offloads }) => offloads.states,
  }),
  route({
    method: "POST",
    path: "/v1/offloads",
    summary: "Switches an offload",
    body: { type: "application/json", mostBytes: ORDER_MAX_BYTES, schema: offloadOrder },
    answers: OffloadReports,
    handle: ({ offloads }, { body }) => {
      offloads.set(body.name, body.on);
      return offloads.states;
    },
  }),
  route({
    method: "GET",
    path: "/v1/key",
    summary: "The key of the encrypted underlay",
    answers: KeyReport,
    handle: ({ key }) => key().report(),
  }),
  route({
    method: "POST",
    path: "/v1/key/activate",
    summary: "Uses the next key",
    answers: KeyReport,
    handle: ({ key }) => key().activateNextKey(),
  }),
  route({
    method: "POST",
    path: "/v1/takeover",
    summary: "Calls back the process that waits beside the control socket to take over",
    answers: TakeoverReport,
    handle: ({ takeover }) => {
      takeover.begin();
      return { pid: process.pid };
    },
  }),
];
