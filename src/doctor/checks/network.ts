// What the node's network does with packets of the tunnel and of workloads: sizes, forwarding, reverse paths, the port.

import { type Finding, ok, wrong } from "../finding.ts";

/** Outer IP and UDP headers. */
const OVERHEAD = { 4: 28, 6: 48 } as const;
/** What WireGuard takes more, over IPv6. */
const WIREGUARD_OVERHEAD = 80;
const MTU_MIN = 1280;

export interface MtuFacts {
  /** Of the node, on the underlay. */
  readonly address: string;
  /** The interface that has it; undefined when none has. */
  readonly underlay: { readonly device: string; readonly mtu: number } | undefined;
  readonly tun: { readonly name: string; readonly mtu: number };
  readonly isEncrypted: boolean;
}

export function mtuFindings({ address, underlay, tun, isEncrypted }: MtuFacts): Finding[] {
  if (underlay === undefined) {
    return [
      wrong(
        "mtu",
        `no interface has the node's address ${address}`,
        `ip address show; ip address add ${address}/24 dev DEVICE`,
      ),
    ];
  }
  const family = address.includes(":") ? 6 : 4;
  const overhead = isEncrypted ? OVERHEAD[6] + WIREGUARD_OVERHEAD : OVERHEAD[family];
  const needed = tun.mtu + overhead;
  const { device, mtu } = underlay;
  const fits = `packets of ${tun.mtu} bytes in ${tun.name} take ${needed} on ${device}, which takes ${mtu}`;
  if (needed <= mtu) return [ok("mtu", fits)];
  const smaller = mtu - overhead;
  const other = smaller >= MTU_MIN ? ` # or configure tun.mtu: ${smaller}` : "";
  return [wrong("mtu", fits, `ip link set dev ${device} mtu ${needed}${other}`)];
}

export interface ForwardingFacts {
  readonly isRunning: boolean;
  readonly parameters: readonly {
    readonly path: string;
    readonly wanted: string;
    readonly found: string | undefined;
  }[];
}

export function forwardingFindings({ isRunning, parameters }: ForwardingFacts): Finding[] {
  const unlike = parameters.filter(({ wanted, found }) => found !== undefined && found !== wanted);
  if (unlike.length === 0) return [ok("forwarding", "the kernel forwards packets of workloads")];
  if (!isRunning) return [ok("forwarding", "is switched on when the proxy starts")];
  return unlike.map(({ path, wanted, found }) =>
    wrong("forwarding", `${path} must be ${wanted}, found ${found}`, `sysctl -w ${path}=${wanted}`),
  );
}

/** net.ipv4.conf.*.rp_filter (Documentation/networking/ip-sysctl.rst): the larger of `all` and the interface's counts. */
const STRICT = 1;
const LOOSE = 2;

export interface ReversePathFacts {
  readonly all: number;
  readonly interfaces: readonly {
    readonly device: string;
    readonly own: number;
    /** Senders whose packets come in there by rights, and the interfaces by which answers would leave. */
    readonly senders: readonly { readonly address: string; readonly wayBack: readonly string[] }[];
    /** Whether a strict check is wrong there in any case. */
    readonly mustBeLoose: boolean;
  }[];
}

export function reversePathFindings({ all, interfaces }: ReversePathFacts): Finding[] {
  const found = interfaces.flatMap(({ device, own, senders, mustBeLoose }) => {
    if (Math.max(all, own) !== STRICT) return [];
    const cut = senders.find(({ wayBack }) => !wayBack.includes(device));
    if (cut === undefined && !mustBeLoose) return [];
    const what = cut === undefined ? "a service address whose range another route covers in part" : cut.address;
    const path = `net/ipv4/conf/${all === STRICT ? "all" : device}/rp_filter`;
    const message = `${device} drops packets from ${what}: the check of reverse paths is strict (${path} is ${STRICT})`;
    return [wrong("rp_filter", message, `sysctl -w ${path}=${LOOSE}`)];
  });
  return found.length > 0 ? found : [ok("rp_filter", "no check of reverse paths drops packets of the tunnel")];
}

export interface PortFacts {
  readonly port: number;
  readonly isRunning: boolean;
  /** Why it could not be opened, where no proxy runs. */
  readonly problem: { readonly code: string; readonly message: string } | undefined;
  /** Who has it, where that can be seen. */
  readonly holders: readonly { readonly pid: number; readonly name: string }[];
}

export function portFindings({ port, isRunning, problem, holders }: PortFacts): Finding[] {
  if (isRunning) return [ok("port", `the proxy has UDP port ${port}`)];
  if (problem === undefined) return [ok("port", `UDP port ${port} is free`)];
  if (problem.code !== "port-in-use") return [wrong("port", problem.message, "ip address show")];
  const by = holders.map(({ pid, name }) => `process ${pid} (${name})`).join(", ");
  const [first] = holders;
  const look = `ss --udp --listening --numeric --processes 'sport = :${port}'`;
  const stop = first === undefined ? look : `kill ${first.pid} # or configure another node.underlay.port`;
  return [wrong("port", `UDP port ${port} is taken${by === "" ? "" : ` by ${by}`}`, stop)];
}
