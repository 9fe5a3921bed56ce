// `sapwood netmanager`: this worker node of Oakestra in the place of its NetManager, in the foreground.

import type { SpareThread } from "../dataplane/worker/spare-thread.ts";
import type { Command, CommandInput, CommandOption, Terminal } from "./command.ts";
import { firstEnding } from "./ending.ts";
import { LOG_FORMAT_OPTION, logLevelOption, openLog } from "./logging.ts";
import { SOCKET_OPTION } from "./query-command.ts";
import { beginTakeover, TAKEOVER_OPTION } from "./takeover.ts";

/** As `install-netmanager` names it. */
const UNIT = "netmanager.service";

export const netmanagerCommand: Command = {
  name: "netmanager",
  group: "Run a proxy",
  summary: "run this worker node of Oakestra in the place of its NetManager",
  options: [
    pathOption("--netcfg <file>", "node and broker", "/etc/netmanager/netcfg.json"),
    pathOption("--tuncfg <file>", "TUN and service ranges", "/etc/netmanager/tuncfg.json"),
    pathOption("--policies <file>", "policies that services stand for, if any do", "/etc/netmanager/policies.yaml"),
    pathOption("--listen <path>", "socket that the NodeEngine calls", "/etc/netmanager/netmanager.sock"),
    pathOption("--state <folder>", "registration, containers and known services", "/var/lib/sapwood/netmanager"),
    SOCKET_OPTION,
    logLevelOption("by Debug of the file"),
    LOG_FORMAT_OPTION,
    TAKEOVER_OPTION,
  ],
  examples: [{ line: "netmanager", does: "until SIGTERM or Ctrl-C" }],
  async run(input, terminal) {
    const { SpareThread } = await import("../dataplane/worker/spare-thread.ts");
    const spare = new SpareThread();
    await serve(spare, input, terminal).finally(() => spare.close());
  },
};

async function serve(spare: SpareThread, input: CommandInput, terminal: Terminal): Promise<void> {
  const [{ NetmanagerNode }, { packageVersion }, systemd, { ServiceManager }] = await Promise.all([
    import("../node/netmanager-node.ts"),
    import("../base/version.ts"),
    import("../sys/systemd.ts"),
    import("../sys/service-manager.ts"),
  ]);
  const logging = await openLog(input);
  const ending = firstEnding();
  const version = packageVersion();
  const takeover = await beginTakeover(input, version, () => Promise.resolve(input.text("socket")));
  const running = await NetmanagerNode.start({
    netcfgFile: input.text("netcfg"),
    tuncfgFile: input.text("tuncfg"),
    policiesFile: input.text("policies"),
    apiSocket: input.text("listen"),
    controlSocket: input.text("socket"),
    stateFolder: input.text("state"),
    version,
    ...logging,
    env: process.env,
    takeover,
    spare,
  });
  terminal.print(`sapwood netmanager ready socket=${input.text("listen")}\n`);
  process.on("SIGHUP", () => void running.reload());
  const manager = new ServiceManager(process.env);
  manager.ready(`${running.proxy.status().node} serves packets and the NodeEngine`);
  let isLasting = false;
  try {
    const takenOver = await Promise.race([ending, running.proxy.failure, running.proxy.takenOver]);
    isLasting = takenOver === undefined && !(await systemd.isBeingRestarted(UNIT, process.env));
  } finally {
    manager.stopping();
    await running.close(isLasting);
  }
}

function pathOption(flags: string, summary: string, path: string): CommandOption {
  return { flags, summary, default: { value: () => path, text: path } };
}
