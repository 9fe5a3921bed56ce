// What is measured on a path, and how: which programs run in the two workloads, and what their output means.
import { availableParallelism } from "node:os";
import { SapwoodError } from "../../src/base/errors.ts";
import { builtFile } from "../../src/lab/build-paths.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { Path } from "./path.ts";
import { busySeconds } from "./processor-time.ts";
import { CLIENT, type Family, SERVER, SERVICE_ADDRESSES } from "./scenario.ts";
import {
  type ConnectionsMade,
  type EchoResult,
  type FloodReceived,
  type FloodSent,
  LISTENING,
} from "./tool-protocol.ts";

export interface Metric {
  readonly name: string;
  readonly label: string; // for people
  readonly unit: string;
  readonly better: "more" | "less" | "neither"; // neither: it explains another one
  readonly isCharted: boolean; // whether it is among the few that the chart shows
}

/** One run gives the values of all its metrics, by name. */
export interface Measurement {
  readonly name: string;
  readonly metrics: readonly Metric[];
  run(path: Path, seconds: number): Promise<Readonly<Record<string, number>>>;
}

const GRACE_MS = 20_000; // what a program may take beyond the time that it was told
const MANY_FLOWS = 64;
const FLOOD_WARM_UP_SECONDS = 0.4;
const FLOOD_MARGIN_SECONDS = 0.4;
const SERVER_GRACE_MS = 2_000;
const PROCESSORS = [
  ["taskset", "--cpu-list", "0"],
  ["taskset", "--cpu-list", "1"],
] as const;

/** Paths under test first need their code compiled and their caches filled. */
export const WARM_UP_SECONDS = 1;

export const MEASUREMENTS: readonly Measurement[] = [
  tcp("v4", 1),
  tcp("v6", 1),
  tcp("v4", 4),
  tcp("v6", 4),
  flood("v4", 1),
  flood("v6", 1),
  flood("v4", MANY_FLOWS),
  flood("v6", MANY_FLOWS),
  flood("v4", 1, 1400),
  flood("v6", 1, 1400),
  connections("v4"),
  connections("v6"),
  echo("v4", "apart"),
  echo("v6", "apart"),
  echo("v4", "free"),
  echo("v6", "free"),
];

/** Bulk transfer over `streams` connections by iperf3; what the server's application got counts. */
function tcp(family: Family, streams: number): Measurement {
  const name = `tcp${streams}_${family}`;
  const cpu = `cpu_tcp${streams}_${family}`;
  const what = `${streams === 1 ? "one TCP stream" : `${streams} TCP streams`}, ${familyLabel(family)}`;
  return {
    name,
    metrics: [
      { name, label: what, unit: "Gbit/s", better: "more", isCharted: true },
      {
        name: cpu,
        label: `${what}, processor time`,
        unit: "CPU s/GB",
        better: "less",
        isCharted: streams === 1 && family === "v4",
      },
    ],
    async run(path, seconds) {
      const server = path.sandbox.start(["iperf3", "--server", "--one-off", "--forceflush"], SERVER.name);
      return withServer(server, "Server listening", async () => {
        const before = busySeconds();
        const load = ["--time", String(seconds), "--parallel", String(streams), "--json"];
        const output = await onClient(path, ["iperf3", "--client", SERVICE_ADDRESSES[family], ...load], seconds);
        const busy = busySeconds() - before;
        const { end }: { end: { sum_received: { bytes: number; bits_per_second: number } } } = JSON.parse(output);
        const { bytes, bits_per_second } = end.sum_received;
        return { [name]: bits_per_second / 1e9, [cpu]: busy / (bytes / 1e9) };
      });
    },
  };
}

/** As many datagrams as the client's processor can send; those that arrive count. */
function flood(family: Family, flows: number, bytes = 64): Measurement {
  const kind = flows === 1 ? `udp${bytes}` : `udp${bytes}_${flows}flows`;
  const name = `${kind}_${family}`;
  const sent = `${kind}_sent_${family}`;
  const loss = `${kind}_loss_${family}`;
  const cpu = `cpu_${kind}_${family}`;
  const what = `UDP flood of ${bytes} B${flows === 1 ? "" : `, ${flows} flows`}, ${familyLabel(family)}`;
  return {
    name,
    metrics: [
      { name, label: `${what}, delivered`, unit: "packets/s", better: "more", isCharted: true },
      { name: sent, label: `${what}, sent`, unit: "packets/s", better: "neither", isCharted: false },
      { name: loss, label: `${what}, lost`, unit: "%", better: "neither", isCharted: false },
      {
        name: cpu,
        label: `${what}, processor time`,
        unit: "CPU s/Mpacket",
        better: "less",
        isCharted: family === "v4" && flows === 1 && bytes === 64,
      },
    ],
    async run(path, seconds) {
      const window = [String(FLOOD_WARM_UP_SECONDS), String(seconds)];
      const receiver = path.sandbox.start(tool("flood-receiver", ...window), SERVER.name);
      return withServer(receiver, LISTENING, async () => {
        const total = FLOOD_WARM_UP_SECONDS + seconds + FLOOD_MARGIN_SECONDS;
        const sender = tool("flood-sender", SERVICE_ADDRESSES[family], String(total), String(flows), String(bytes));
        const { packetsPerSecond }: FloodSent = JSON.parse(await onClient(path, sender, total));
        await receiver.until("the count of the datagrams that arrived", ({ stdout }) => stdout.endsWith("}\n"));
        const received: FloodReceived = JSON.parse(receiver.stdout.slice(LISTENING.length));
        const delivered = received.packets / received.seconds;
        return {
          [name]: delivered,
          [sent]: packetsPerSecond,
          [loss]: Math.max(0, 100 * (1 - delivered / packetsPerSecond)),
          [cpu]: received.busySeconds / (received.packets / 1e6),
        };
      });
    },
  };
}

/** New TCP connections, some at a time: each is opened, gets a byte and is closed by the server. */
function connections(family: Family): Measurement {
  const name = `conn_${family}`;
  const failed = `conn_failed_${family}`;
  const cpu = `cpu_conn_${family}`;
  const what = `new TCP connections, ${familyLabel(family)}`;
  return {
    name,
    metrics: [
      { name, label: what, unit: "connections/s", better: "more", isCharted: family === "v4" },
      { name: failed, label: `${what}, failed`, unit: "connections", better: "neither", isCharted: false },
      { name: cpu, label: `${what}, processor time`, unit: "CPU s/1000", better: "less", isCharted: false },
    ],
    async run(path, seconds) {
      const server = path.sandbox.start(tool("connection-server"), SERVER.name);
      return withServer(server, LISTENING, async () => {
        const before = busySeconds();
        const client = tool("connection-client", SERVICE_ADDRESSES[family], String(seconds));
        const result: ConnectionsMade = JSON.parse(await onClient(path, client, seconds));
        const busy = busySeconds() - before;
        if (result.connections === 0) {
          throw new SapwoodError("lab-failed", `The path "${path.name}" must carry TCP; found no connection.`);
        }
        return {
          [name]: result.connections / result.seconds,
          [failed]: result.failed,
          [cpu]: (1000 * busy) / result.connections,
        };
      });
    },
  };
}

/**
 * One small datagram at a time, there and back. "apart" holds client and server on a processor each, as two machines
 * would: every arrival then wakes a processor. "free" leaves them to the scheduler, which puts both on one processor
 * when it can, where the kernel's path from one to the other is a chain of function calls.
 */
function echo(family: Family, placement: "apart" | "free"): Measurement {
  const prefix = placement === "apart" ? "rtt" : "rtt_free";
  const [onFirst, onSecond] = placement === "apart" && availableParallelism() > 1 ? PROCESSORS : [[], []];
  const metric = (percentile: string, label: string): Metric => ({
    name: `${prefix}_${percentile}_${family}`,
    label: `UDP echo of 64 B${placement === "free" ? ", free" : ""}, ${familyLabel(family)}, ${label}`,
    unit: "µs",
    better: "less",
    isCharted: placement === "apart" && percentile !== "p999",
  });
  const metrics = [metric("p50", "median"), metric("p99", "p99"), metric("p999", "p99.9")];
  return {
    name: `${prefix}_${family}`,
    metrics,
    async run(path, seconds) {
      const server = path.sandbox.start([...onSecond, ...tool("echo-server")], SERVER.name);
      return withServer(server, LISTENING, async () => {
        const client = [...onFirst, ...tool("echo-client", SERVICE_ADDRESSES[family], String(seconds))];
        const result: EchoResult = JSON.parse(await onClient(path, client, seconds));
        if (result.roundTrips === 0) {
          const found = `${result.lost} datagrams were sent and none came back`;
          throw new SapwoodError("lab-failed", `The path "${path.name}" must carry UDP; ${found}.`);
        }
        const values = [result.p50Us, result.p99Us, result.p999Us];
        return Object.fromEntries(metrics.map(({ name }, index) => [name, values[index] ?? Number.NaN]));
      });
    },
  };
}

/** Calls `use` while the server listens, and leaves no server behind. */
async function withServer<Result>(
  server: SandboxProgram,
  announcement: string,
  use: () => Promise<Result>,
): Promise<Result> {
  try {
    await server.until("the server of the measurement", ({ stdout }) => stdout.includes(announcement));
    return await use();
  } finally {
    await server.stop(SERVER_GRACE_MS);
  }
}

async function onClient(path: Path, argv: readonly string[], seconds: number): Promise<string> {
  return path.sandbox.expect(argv, CLIENT.name, "", seconds * 1000 + GRACE_MS);
}

function tool(name: string, ...args: readonly string[]): string[] {
  return [process.execPath, builtFile(`bench/path/${name}.js`), ...args];
}

function familyLabel(family: Family): string {
  return family === "v4" ? "IPv4" : "IPv6";
}
