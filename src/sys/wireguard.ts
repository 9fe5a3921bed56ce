// A WireGuard interface: the kernel's, or wireguard-go's where the kernel has none. Set up with `ip` and `wg`.
// Promises: an interface that sapwood did not make is left alone; a set-up that fails leaves none behind.

import { type ChildProcess, spawn } from "node:child_process";
import { SapwoodError } from "../base/errors.ts";
import { isGuardRoute, removeGuardRoutes, routesTo, setGuardRoutes } from "./guard-routes.ts";
import { hasInterface, KeptInterface, type KeptState } from "./interface-state.ts";
import { ip, ipBatch } from "./ip-command.ts";
import { hasSysctl, kernelSysctls } from "./kernel-sysctls.ts";
import { expectSuccess, ifNametoindex } from "./libc.ts";
import { addRules, removeRules } from "./routing-rules.ts";
import { runTool, type Tool, toolEnvironment } from "./tool.ts";

const WG: Tool = { program: "wg", package: "wireguard-tools" };
/** Marks our interfaces: what a predecessor that was killed left may be removed, and nothing else (IFLA_IFALIAS). */
const ALIAS = "sapwood";
/** Peers that one call of `wg` sets: each takes some 150 bytes of a command line that may have 128 KiB an argument. */
const PEERS_PER_CALL = 200;
/**
 * Of the rules for packets from and to the interface: after that for local addresses (0), before that of the main
 * table.
 */
const RULE_PRIORITY = 100;
const EXCEPTION_PRIORITY = 99;
const START_TIMEOUT_MS = 20_000;
const START_POLL_MS = 20;

export const WIREGUARD_BACKENDS = ["kernel", "wireguard-go"] as const;
export type WireguardBackend = (typeof WIREGUARD_BACKENDS)[number];

interface WireguardOptions {
  readonly device: string;
  readonly backend: WireguardBackend | "auto"; // auto: the kernel's if it has one
  readonly port: number; // UDP, where the peers send to
  readonly mtu: number;
  readonly privateKeyFile: string;
  readonly address: string; // ours inside
  readonly prefix: string; // that all peers' addresses inside have
  /** wireguard-go ended by itself; the interface and its peers are gone. */
  readonly onLost: () => void;
}

export interface WireguardPeer {
  readonly publicKey: string;
  readonly address: string; // of the machine
  readonly port: number; // UDP
  readonly inside: string; // the only address that it may send from
  /** How often we send it something without traffic, 0 = never. */
  readonly keepaliveSeconds: number;
}

export class WireguardInterface {
  readonly backend: WireguardBackend;
  readonly index: number;
  readonly #device: string;
  readonly #mtu: number;
  readonly #prefix: string;
  readonly #daemon: ChildProcess | undefined;
  #address: string;
  #isClosed = false;

  private constructor(options: WireguardOptions, index: number, daemon: ChildProcess | undefined) {
    this.backend = daemon === undefined ? "kernel" : "wireguard-go";
    this.index = index;
    this.#device = options.device;
    this.#mtu = options.mtu;
    this.#prefix = options.prefix;
    this.#address = options.address;
    this.#daemon = daemon;
    daemon?.once("exit", () => {
      if (!this.#isClosed) options.onLost();
    });
  }

  /** Throws network-setup, missing-rights or missing-tool. */
  static async open(options: WireguardOptions): Promise<WireguardInterface> {
    const { device, backend, port, mtu, privateKeyFile, address, prefix } = options;
    await removeLeftOver(device);
    const isInKernel = backend !== "wireguard-go" && (await addToKernel(device));
    if (!isInKernel && backend === "kernel") {
      throw new SapwoodError(
        "network-setup",
        'This kernel must have WireGuard, found none: load its module "wireguard", or choose another wireguardBackend.',
      );
    }
    const daemon = isInKernel ? undefined : await startDaemon(device);
    try {
      await wg(["set", device, "listen-port", String(port), "private-key", privateKeyFile]);
      allowIpv6(device);
      await ipBatch([
        `link set dev ${device} alias ${ALIAS} mtu ${mtu} addrgenmode none`,
        `address add ${address}/128 dev ${device} nodad`,
        `link set dev ${device} up`,
        `route add ${prefix} dev ${device} src ${address}`,
      ]);
      // Without it, what goes to peers would leave by the default route, in clear, while the interface is down.
      await setGuardRoutes([prefix]);
      await addRules("-6", rulesFor(device, prefix));
      return new WireguardInterface(options, indexOf(device), daemon);
    } catch (error) {
      await remove(device, prefix, daemon);
      throw error;
    }
  }

  /** Adds peers, or gives those that there are other settings; the others do not notice. */
  async setPeers(peers: readonly WireguardPeer[]): Promise<void> {
    for (let i = 0; i < peers.length; i += PEERS_PER_CALL) {
      const settings = peers.slice(i, i + PEERS_PER_CALL).flatMap(peerSettings);
      await wg(["set", this.#device, ...settings]);
    }
  }

  /** Cuts peers off: from now on nothing of theirs is taken, and nothing is sent to them. */
  async removePeers(publicKeys: readonly string[]): Promise<void> {
    for (let i = 0; i < publicKeys.length; i += PEERS_PER_CALL) {
      const settings = publicKeys.slice(i, i + PEERS_PER_CALL).flatMap((key) => ["peer", key, "remove"]);
      await wg(["set", this.#device, ...settings]);
    }
  }

  /** When each peer last proved to have its key, in seconds since 1970; 0 = never since the interface was made. */
  async latestHandshakes(): Promise<ReadonlyMap<string, number>> {
    const lines = (await wg(["show", this.#device, "latest-handshakes"])).split("\n").filter((line) => line !== "");
    return new Map(
      lines.map((line) => {
        const [key = "", seconds = "0"] = line.split("\t");
        return [key, Number(seconds)] as const;
      }),
    );
  }

  /** Is somebody else from now on: another key, and the address that goes with it. */
  async setIdentity(privateKeyFile: string, address: string): Promise<void> {
    await wg(["set", this.#device, "private-key", privateKeyFile]);
    if (address === this.#address) return;
    await ipBatch([
      `address add ${address}/128 dev ${this.#device} nodad`,
      `route replace ${this.#prefix} dev ${this.#device} src ${address}`,
      `address del ${this.#address}/128 dev ${this.#device}`,
    ]);
    this.#address = address;
  }

  /** Whether a kernel parameter of the interface differs. */
  hasDrifted(): boolean {
    return this.#kept().hasDrifted();
  }

  /** Puts back what somebody changed; not peers and keys. Undefined when the interface is gone. */
  async check(): Promise<KeptState | undefined> {
    const state = await this.#kept().check();
    if (state === undefined) return state;
    const repaired = [...state.repaired];
    if ((await addRules("-6", rulesFor(this.#device, this.#prefix))).length > 0) {
      repaired.push(`the rule that lets nobody use ${this.#device} as a router was missing`);
    }
    if (!(await routesTo(this.#prefix)).some(isGuardRoute)) {
      await setGuardRoutes([this.#prefix]);
      repaired.push(`the unreachable route to ${this.#prefix} was missing`);
    }
    return { ...state, repaired, hasActed: state.hasActed || repaired.length > state.repaired.length };
  }

  #kept(): KeptInterface {
    return new KeptInterface({
      device: this.#device,
      index: this.index,
      mtu: this.#mtu,
      queueLength: undefined,
      addresses: [this.#address],
      routes: [{ prefix: this.#prefix, source: this.#address }],
      sysctls: [{ path: `net/ipv6/conf/${this.#device}/disable_ipv6`, value: "0" }],
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await remove(this.#device, this.#prefix, this.#daemon);
  }
}

/** `allowed-ips` is what WireGuard lets a peer send from, and how it knows whom a packet is for. */
function peerSettings({ publicKey, address, port, inside, keepaliveSeconds }: WireguardPeer): string[] {
  const endpoint = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  return [
    ...["peer", publicKey, "endpoint", endpoint, "allowed-ips", `${inside}/128`],
    ...["persistent-keepalive", String(keepaliveSeconds)],
  ];
}

/** False when the kernel has no WireGuard. */
async function addToKernel(device: string): Promise<boolean> {
  try {
    await ip(["link", "add", "dev", device, "type", "wireguard"]);
    return true;
  } catch (error) {
    // rtnetlink's answer to a type that no module has
    if (error instanceof SapwoodError && /unknown device type|not supported/i.test(error.message)) return false;
    throw error;
  }
}

/** The interface of wireguard-go lives as long as its process, and that no longer than this one. */
async function startDaemon(device: string): Promise<ChildProcess> {
  // Its socket has a name for the whole machine: what `wg` says would reach the other one.
  if (await isServed(device)) {
    throw new SapwoodError(
      "network-setup",
      `The name "${device}" must be free for wireguard-go; found a WireGuard of another network namespace. ` +
        "Set node.underlay.wireguardDevice.",
    );
  }
  const daemon = spawn("setpriv", ["--pdeathsig", "KILL", "wireguard-go", "--foreground", device], {
    env: { ...toolEnvironment(), LOG_LEVEL: "error" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  daemon.stderr?.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-2000);
  });
  let failure: Error | undefined;
  daemon.once("error", (error) => {
    failure = error;
  });
  const giveUpAt = performance.now() + START_TIMEOUT_MS;
  while (!(hasInterface(device) && (await isServed(device)))) {
    const hasEnded = failure !== undefined || daemon.exitCode !== null || daemon.signalCode !== null;
    if (!hasEnded && performance.now() < giveUpAt) {
      await new Promise((resolve) => setTimeout(resolve, START_POLL_MS));
      continue;
    }
    daemon.kill("SIGKILL");
    throw new SapwoodError(
      "network-setup",
      `wireguard-go must make the interface "${device}", since the kernel does not; it did not: ` +
        `${daemonFailure(failure, stderr, hasEnded)}. Install wireguard-go, or load the kernel module "wireguard".`,
    );
  }
  return daemon;
}

function daemonFailure(failure: Error | undefined, stderr: string, hasEnded: boolean): string {
  if (failure !== undefined) return `setpriv of util-linux could not be started (${failure.message})`;
  const error = stderr.split("\n").findLast((line) => line.startsWith("ERROR: ")); // it begins with a picture
  if (error !== undefined) return error.replace(/\.+$/, "");
  return hasEnded ? "it ended without a word" : `nothing happened for ${START_TIMEOUT_MS / 1000} s`;
}

/** Whether somebody answers for the interface, which is there before its process listens. */
function isServed(device: string): Promise<boolean> {
  return wg(["show", device, "listen-port"]).then(
    () => true,
    () => false,
  );
}

/** Removes the interface of a proxy that was killed. Throws network-setup when it is somebody else's. */
async function removeLeftOver(device: string): Promise<void> {
  if (!hasInterface(device)) return;
  const [link] = JSON.parse(await ip(["-json", "link", "show", "dev", device])) as { ifalias?: string }[];
  if (link?.ifalias !== ALIAS) {
    throw new SapwoodError(
      "network-setup",
      `The name "${device}" must be free for the encrypted underlay; found an interface that sapwood did not make.`,
    );
  }
  await ip(["link", "del", "dev", device]);
}

/** New interfaces have no IPv6 where net.ipv6.conf.default.disable_ipv6 says so, as in most containers. */
function allowIpv6(device: string): void {
  const path = `net/ipv6/conf/${device}/disable_ipv6`;
  if (hasSysctl(path)) kernelSysctls.write(path, "0");
}

/**
 * The node forwards packets between its workloads and the TUN. A peer must not make use of that: what it sends is for
 * the tunnel's socket, and reaches nobody else. Nor must workloads and hosts on the links, whose packets would get
 * into the tunnel in the node's name: only the node itself sends to peers. The rule for local addresses comes first.
 */
function rulesFor(device: string, prefix: string): string[] {
  return [
    `from all to all iif ${device} prohibit priority ${RULE_PRIORITY}`,
    `from all to ${prefix} iif lo lookup main priority ${EXCEPTION_PRIORITY}`,
    `from all to ${prefix} prohibit priority ${RULE_PRIORITY}`,
  ];
}

async function remove(device: string, prefix: string, daemon: ChildProcess | undefined): Promise<void> {
  await removeRules("-6", rulesFor(device, prefix).reverse());
  await removeGuardRoutes([prefix]);
  if (daemon === undefined) {
    if (hasInterface(device)) await ip(["link", "del", "dev", device]);
    return;
  }
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const ended = new Promise((resolve) => daemon.once("exit", resolve));
  daemon.kill("SIGTERM");
  await ended;
}

function indexOf(device: string): number {
  const index = expectSuccess(ifNametoindex(device), `Asking for the interface "${device}"`);
  if (index === 0) throw new SapwoodError("network-setup", `The interface "${device}" is gone.`);
  return index;
}

/** Sentences name no keys: those of peers are public, but make them long. */
function wg(options: readonly string[]): Promise<string> {
  return runTool(WG, options, "", () => options.slice(0, 3).join(" "));
}
