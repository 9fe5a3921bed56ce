// `sapwood run`: a node's proxy in the foreground, until a signal or a failure ends it.

import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import type { FaultSettings } from "../dataplane/io/fault-settings.ts";
import type { SpareThread } from "../dataplane/worker/spare-thread.ts";
import type { NodeProxy } from "../node/node-proxy.ts";
import type { Command, CommandInput, Terminal } from "./command.ts";
import { CONFIG_OPTION, configFile } from "./config-file.ts";
import { firstEnding } from "./ending.ts";
import { LOG_FORMAT_OPTION, logLevelOption, openLog } from "./logging.ts";
import { beginTakeover, TAKEOVER_OPTION } from "./takeover.ts";

/** For tests (docs/testing.md). */
const FAULTS_VARIABLE = "SAPWOOD_FAULTS";

export const runCommand: Command = {
  name: "run",
  group: "Run a proxy",
  summary: "run this node's proxy in the foreground",
  options: [
    { ...CONFIG_OPTION, summary: `${CONFIG_OPTION.summary}, watched for changes` },
    { flags: "-s, --socket <path>", summary: "control socket (default: the configuration's control.socket)" },
    logLevelOption("the configuration's log.level"),
    LOG_FORMAT_OPTION,
    TAKEOVER_OPTION,
  ],
  examples: [
    { line: "run", does: "until SIGTERM or Ctrl-C" },
    { line: "run -c b.yaml -s /run/sapwood/b.sock", does: "a second proxy, with its own TUN and port" },
    { line: "run -c node.yaml --log-level debug", does: "tell more" },
  ],
  async run(input, terminal) {
    const [{ reduceRights }, { ServiceManager }] = await Promise.all([
      import("../sys/rights.ts"),
      import("../sys/service-manager.ts"),
    ]);
    const file = configFile(input.optionalText("config"));
    reduceRights([fileURLToPath(import.meta.url), file]);
    // The young garbage of a large change is collected by this thread alone: with one helper per processor, as V8 does
    // it by itself, every collection held up the workers (docs/performance.md).
    setFlagsFromString("--no-parallel-scavenge");
    const { SpareThread } = await import("../dataplane/worker/spare-thread.ts");
    const spare = new SpareThread();
    const ending = firstEnding();
    const running = await startProxy(file, spare, input, terminal).finally(() => spare.close());
    process.on("SIGHUP", () => void running.reload());
    const manager = new ServiceManager(process.env);
    manager.ready(`${running.status().node} serves packets`);
    // Resolves at the first signal, or when another process has taken over, which is the main one from then on. Rejects
    // when the data path is lost or something unforeseen happened.
    const failure = await Promise.race([
      ending.then(() => manager.stopping()),
      running.failure,
      running.takenOver,
    ]).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    if (failure !== undefined) manager.stopping();
    await running.close(failure !== undefined);
    if (failure !== undefined) throw failure.error;
  },
};

async function startProxy(
  configFile: string,
  spare: SpareThread,
  input: CommandInput,
  terminal: Terminal,
): Promise<NodeProxy> {
  const [{ NodeProxy }, { packageVersion }] = await Promise.all([
    import("../node/node-proxy.ts"),
    import("../base/version.ts"),
  ]);
  const logging = await openLog(input);
  const version = packageVersion();
  const takeover = await beginTakeover(input, version, async () => {
    const { loadConfig } = await import("../control/config/config.ts");
    const { knownPolicies } = await import("../control/state/module-store.ts");
    return loadConfig(configFile, { policies: knownPolicies }).control.socket;
  });
  const proxy = await NodeProxy.start({
    configFile,
    socket: input.optionalText("socket"),
    version,
    ...logging,
    takeover,
    spare,
    faults: await faultsToInject(),
  });
  const { node, tun, tunnel, workers, generation } = proxy.status();
  const { endpointText } = await import("./format.ts");
  terminal.print(
    `sapwood ready node=${node} tun=${tun.name} mtu=${tun.mtu} ` +
      `tunnel=${endpointText(tunnel.address, tunnel.port)} workers=${workers.length} generation=${generation} ` +
      `in ${Math.round(performance.now())} ms\n`, // since the process began
  );
  return proxy;
}

async function faultsToInject(): Promise<FaultSettings | undefined> {
  const text = process.env[FAULTS_VARIABLE];
  if (text === undefined || text === "") return undefined;
  const { parseFaults } = await import("../control/config/faults.ts");
  return parseFaults(text, FAULTS_VARIABLE);
}
