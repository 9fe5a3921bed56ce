// Every command by its name, loaded when it is called: to load all of them is most of what a command line costs before
// its command begins.

import type { Command } from "./command.ts";

/** In the order in which the help shows them. */
const LOADERS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import("./run.ts")).runCommand,
  netmanager: async () => (await import("./netmanager.ts")).netmanagerCommand,
  "install-netmanager": async () => (await import("./install-netmanager.ts")).installNetmanagerCommand,
  "uninstall-netmanager": async () => (await import("./install-netmanager.ts")).uninstallNetmanagerCommand,
  check: async () => (await import("./check.ts")).checkCommand,
  doctor: async () => (await import("./doctor.ts")).doctorCommand,
  status: async () => (await import("./status.ts")).statusCommand,
  services: async () => (await import("./services.ts")).servicesCommand,
  instances: async () => (await import("./instances.ts")).instancesCommand,
  nodes: async () => (await import("./nodes.ts")).nodesCommand,
  flows: async () => (await import("./flows.ts")).flowsCommand,
  counters: async () => (await import("./counters.ts")).countersCommand,
  top: async () => (await import("./top.ts")).topCommand,
  tables: async () => (await import("./tables.ts")).tablesCommand,
  events: async () => (await import("./events.ts")).eventsCommand,
  ping: async () => (await import("./ping.ts")).pingCommand,
  explain: async () => (await import("./explain.ts")).explainCommand,
  capture: async () => (await import("./capture.ts")).captureCommand,
  apply: async () => (await import("./apply.ts")).applyCommand,
  drain: async () => (await import("./drain.ts")).drainCommand,
  undrain: async () => (await import("./drain.ts")).undrainCommand,
  upgrade: async () => (await import("./upgrade.ts")).upgradeCommand,
  offload: async () => (await import("./offload.ts")).offloadCommand,
  "key status": async () => (await import("./key.ts")).keyStatusCommand,
  "key show": async () => (await import("./key.ts")).keyShowCommand,
  "key next": async () => (await import("./key.ts")).keyNextCommand,
  "key activate": async () => (await import("./key.ts")).keyActivateCommand,
  "policy list": async () => (await import("./policy.ts")).policyListCommand,
  "policy show": async () => (await import("./policy.ts")).policyShowCommand,
  "policy load": async () => (await import("./policy.ts")).policyLoadCommand,
  "policy rollback": async () => (await import("./policy.ts")).policyRollbackCommand,
  "policy unload": async () => (await import("./policy.ts")).policyUnloadCommand,
  "engine show": async () => (await import("./engine.ts")).engineShowCommand,
  "engine load": async () => (await import("./engine.ts")).engineLoadCommand,
  "engine rollback": async () => (await import("./engine.ts")).engineRollbackCommand,
  replay: async () => (await import("./replay.ts")).replayCommand,
  "policy new": async () => (await import("./policy-new.ts")).policyNewCommand,
  "policy test": async () => (await import("./policy-test.ts")).policyTestCommand,
  lab: async () => (await import("./lab.ts")).labCommand,
  completion: async () => (await import("./completion.ts")).completionCommand(allCommands),
};

export async function allCommands(): Promise<readonly Command[]> {
  return await Promise.all(Object.values(LOADERS).map((load) => load()));
}

/** The only one that these arguments can mean, or all. */
export async function commandsFor([first = "", second = ""]: readonly string[]): Promise<readonly Command[]> {
  const name = [first, `${first} ${second}`].find((words) => Object.hasOwn(LOADERS, words));
  const load = name === undefined ? undefined : LOADERS[name];
  return load === undefined ? allCommands() : [await load()];
}
