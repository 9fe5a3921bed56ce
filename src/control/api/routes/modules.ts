// Policies and the engine: which there are, and others in their place.

import * as z from "zod";
import { MODULE_BYTES_MAX } from "../../../dataplane/modules/wasm.ts";
import { DryRunReport, EngineReport, PolicyDetailReport, PolicyReports } from "../../../model/module-reports.ts";
import type { ModuleControl } from "../../modules/module-control.ts";
import { flag, NAME_PART, type Route, routesOn } from "../route.ts";

export interface ModuleParts {
  readonly modules: Pick<ModuleControl, keyof ModuleControl>;
}

/** What a module is from unless its request says it. */
const SOCKET_SOURCE = "control socket";
const SOURCE_LENGTH_MAX = 4096; // of a path (limits.h)
const SOURCE = `1 to ${SOURCE_LENGTH_MAX} printable characters`;

/** Where a module is from: told, not trusted. */
const source = z
  .string()
  .min(1, SOURCE)
  .max(SOURCE_LENGTH_MAX, SOURCE)
  .regex(/^\P{Cc}*$/u, SOURCE)
  .default(SOCKET_SOURCE);
const wasm = { type: "application/wasm", mostBytes: MODULE_BYTES_MAX } as const;
const route = routesOn<ModuleParts>();

export const MODULE_ROUTES: readonly Route<ModuleParts>[] = [
  route({
    method: "GET",
    path: "/v1/policies",
    summary: "Policies",
    answers: PolicyReports,
    handle: ({ modules }) => modules.policies(),
  }),
  route({
    method: "GET",
    path: `/v1/policies/${NAME_PART}`,
    summary: "A policy, and how it spreads flows",
    answers: PolicyDetailReport,
    handle: ({ modules }, { name }) => modules.policy(name),
  }),
  route({
    method: "PUT",
    changes: "modules",
    path: `/v1/policies/${NAME_PART}`,
    summary: "Loads a policy, or only tries it",
    query: z.strictObject({ source, dryRun: flag, force: flag }),
    body: wasm,
    answers: z.union([PolicyDetailReport, DryRunReport]),
    handle: ({ modules }, { query: { source: from, dryRun, force }, name, body }) =>
      dryRun
        ? modules.dryRunPolicy(name, body, force)
        : modules.loadPolicy(name, body, { source: from, isForced: force }),
  }),
  route({
    method: "DELETE",
    changes: "modules",
    path: `/v1/policies/${NAME_PART}`,
    summary: "Unloads a policy",
    answers: PolicyReports,
    handle: async ({ modules }, { name }) => {
      await modules.unloadPolicy(name);
      return modules.policies();
    },
  }),
  route({
    method: "POST",
    changes: "modules",
    path: `/v1/policies/${NAME_PART}/rollback`,
    summary: "Puts the module before in force",
    answers: PolicyDetailReport,
    handle: ({ modules }, { name }) => modules.rollbackPolicy(name),
  }),
  route({
    method: "GET",
    path: "/v1/engine",
    summary: "The engine",
    answers: EngineReport,
    handle: ({ modules }) => modules.engine(),
  }),
  route({
    method: "PUT",
    changes: "modules",
    path: "/v1/engine",
    summary: "Loads an engine",
    query: z.strictObject({ source, force: flag }),
    body: wasm,
    answers: EngineReport,
    handle: ({ modules }, { query: { source: from, force }, body }) =>
      modules.loadEngine(body, { source: from, isForced: force }),
  }),
  route({
    method: "POST",
    changes: "modules",
    path: "/v1/engine/rollback",
    summary: "Puts the engine before in force",
    answers: EngineReport,
    handle: ({ modules }) => modules.rollbackEngine(),
  }),
];
