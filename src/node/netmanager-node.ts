// A worker node of Oakestra: the proxy, and above it the part that NetManager plays for the NodeEngine.

import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { reasonOf, SapwoodError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { UndoStack } from "../base/undo-stack.ts";
import { claimSocketPath, listenOn } from "../control/api/control-socket.ts";
import { netmanagerApp } from "../control/providers/oakestra/api.ts";
import { machineFirewall } from "../control/providers/oakestra/firewall.ts";
import { FollowedPolicies } from "../control/providers/oakestra/followed-policies.ts";
import { loadNetcfg } from "../control/providers/oakestra/netcfg.ts";
import { Netmanager } from "../control/providers/oakestra/netmanager.ts";
import { nodeSettings } from "../control/providers/oakestra/node-settings.ts";
import { PublicAddress } from "../control/providers/oakestra/public-address.ts";
import { StateFile } from "../control/providers/oakestra/state-file.ts";
import { loadTuncfg } from "../control/providers/oakestra/tuncfg.ts";
import type { SpareThread } from "../dataplane/worker/spare-thread.ts";
import { replaceOwnFile } from "../sys/own-files.ts";
import { NodeProxy } from "./node-proxy.ts";
import type { Takeover } from "./takeover/takeover.ts";

interface NetmanagerNodeOptions {
  readonly netcfgFile: string;
  readonly tuncfgFile: string;
  readonly policiesFile: string;
  /** Socket of the HTTP API that the NodeEngine calls. */
  readonly apiSocket: string;
  readonly controlSocket: string;
  readonly stateFolder: string;
  readonly version: string;
  readonly log: Logger;
  /** The level was given to the command: Debug of netcfg.json does not count. */
  readonly isLevelFixed: boolean;
  readonly env: NodeJS.ProcessEnv;
  /** Of the proxy that runs at the control socket; undefined: no proxy may be there. */
  readonly takeover: Takeover | undefined;
  /** Is taken by the first worker. */
  readonly spare?: SpareThread | undefined;
}

/** MTU of the bridge and of containers, unless TUN_MTU_SIZE says another one. */
const CONTAINER_MTU = 1450;
/** The NodeEngine reads no bodies and keeps its connections, so that idle ones pile up. */
const KEEP_ALIVE_MS = 60_000;

export class NetmanagerNode {
  readonly proxy: NodeProxy;
  readonly #netmanager: Netmanager;
  readonly #policies: FollowedPolicies;
  readonly #server: Server;
  readonly #undo: UndoStack;

  private constructor(
    proxy: NodeProxy,
    netmanager: Netmanager,
    policies: FollowedPolicies,
    server: Server,
    undo: UndoStack,
  ) {
    this.proxy = proxy;
    this.#netmanager = netmanager;
    this.#policies = policies;
    this.#server = server;
    this.#undo = undo;
  }

  /** Resolves when packets are served and the NodeEngine is answered. A start that fails leaves nothing open. */
  static async start(options: NetmanagerNodeOptions): Promise<NetmanagerNode> {
    const undo = new UndoStack((what, error) => options.log.error({ err: error }, `could not ${what}`));
    try {
      return await NetmanagerNode.#open(options, undo);
    } catch (error) {
      await undo.run();
      options.takeover?.fail(reasonOf(error));
      throw error;
    }
  }

  /** Reads the operator's file of policies again, whether it changed or not. */
  reload(): Promise<void> {
    return this.#policies.reload();
  }

  /** Containers keep their network, and the TUN stays, when this is not to last, as before a start of the same unit. */
  async close(isLasting: boolean): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await this.#netmanager.close(isLasting);
    await this.proxy.close(!isLasting);
    await this.#undo.run();
  }

  static async #open(options: NetmanagerNodeOptions, undo: UndoStack): Promise<NetmanagerNode> {
    const { apiSocket, controlSocket, stateFolder, version, log, isLevelFixed, env, takeover, spare } = options;
    const netcfg = loadNetcfg(options.netcfgFile, env);
    const tuncfg = loadTuncfg(options.tuncfgFile, (sentence) => log.warn(sentence));
    const policies = await FollowedPolicies.open(options.policiesFile, log);
    if (!isLevelFixed && netcfg.debug) log.level = "debug";
    const publicAddress = new PublicAddress(netcfg);
    const findAddress = () => publicAddress.find();
    const address = await findAddress();
    const firewall = machineFirewall();
    if (takeover === undefined) await claimSocketPath(apiSocket);
    const state = openState(stateFolder);
    const configFile = join(stateFolder, "node.json");
    const settings = nodeSettings({ address, tuncfg, controlSocket, stateFolder, policies: policies.started });
    replaceOwnFile(configFile, JSON.stringify(settings, null, 2));
    const common = { configFile, socket: controlSocket, version, log, isLevelFixed: true };
    const proxy = await NodeProxy.start({ ...common, isFileFollowed: false, takeover, spare });
    undo.add("stop the proxy", () => proxy.close(takeover !== undefined));
    await claimSocketPath(apiSocket);
    const mtu = containerMtu(env.TUN_MTU_SIZE);
    const netmanager = await Netmanager.open({
      ...{ netcfg, tuncfg, mtu, policyOf: policies.policyOf, sink: proxy.sink },
      ...{ state, firewall, log, findAddress, address },
    });
    undo.add("leave the cluster", () => netmanager.close(false));
    policies.follow(() => netmanager.bindAnew());
    undo.add("stop following the policies", () => policies.close());
    const server = createServer(getRequestListener(netmanagerApp(netmanager, log).fetch));
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    await listenOn(server, apiSocket);
    return new NetmanagerNode(proxy, netmanager, policies, server, undo);
  }
}

function openState(folder: string): StateFile {
  try {
    return new StateFile(folder);
  } catch (error) {
    const reason = reasonOf(error);
    throw new SapwoodError("usage", `The state folder cannot be used: ${reason}.`, { cause: error });
  }
}

/** As upstream reads it: a number that is not negative; anything else is no value. */
function containerMtu(text: string | undefined): number {
  const mtu = Number(text);
  return text !== undefined && /^\d{1,5}$/.test(text) && mtu > 0 ? mtu : CONTAINER_MTU;
}
