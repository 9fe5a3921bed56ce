// A client socket that asks a server again and again: a kept HTTP connection, or a UDP port. Each answer is checked to
// be the one that was asked for; what came from where is recorded for the report.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { type Socket as Connection, isIPv6 } from "node:net";
import { type CallPlan, type CallResult, SERVICE_PORT, type WorkloadAnswer } from "./workload-protocol.ts";

const REQUEST_TIMEOUT_MS = 15_000;
const FAILURES_MAX = 3;
const UDP_RETRY_MS = 1_000; // a datagram may get lost; that is no failure, no answer at all is

/** Why a request over HTTP failed, and the local end of its connection, if there was one. */
class RequestError extends Error {
  constructor(address: string, localPort: number | undefined, cause: unknown) {
    super(`to ${address} from port ${localPort ?? "none"}: ${String(cause)}`, { cause });
  }
}

/** An answer and the two ends of the socket that it came over, as the client sees them. */
interface Heard {
  readonly answer: WorkloadAnswer;
  readonly from: string;
  readonly localPort: number;
}

interface Transport {
  ask(echo: string): Promise<Heard>;
  close(): void;
}

/** Records of one CallPlan. */
export class Call {
  readonly #transport: Transport;
  #instances: string[] = [];
  #answeredFrom = new Set<string>();
  #sources = new Set<string>();
  #failures: string[] = [];
  #localPort = 0;
  #askedCount = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Whether going on would only add to the failures, each after its time-out. */
  get isHopeless(): boolean {
    return this.#failures.length >= FAILURES_MAX;
  }

  /** Asks once; never rejects. */
  async ask(): Promise<void> {
    const echo = `${process.pid}-${Call.#lastEcho++}`;
    this.#askedCount += 1;
    try {
      const { answer, from, localPort } = await this.#transport.ask(echo);
      if (answer.echo !== echo) this.#failures.push(`asked "${echo}", and the answer was for "${answer.echo}"`);
      this.#instances.push(answer.instance);
      this.#answeredFrom.add(from);
      this.#sources.add(`${answer.source} ${answer.sourcePort}`);
      this.#localPort = localPort;
    } catch (error) {
      const reason = error instanceof RequestError ? ` ${error.message}` : `: ${String(error)}`;
      this.#failures.push(`request ${this.#askedCount}${reason}`);
    }
  }

  /** All since the last report. */
  report(): CallResult {
    const result = {
      instances: this.#instances,
      answeredFrom: [...this.#answeredFrom],
      sources: [...this.#sources],
      localPort: this.#localPort,
      failures: this.#failures,
    };
    this.#instances = [];
    this.#answeredFrom = new Set();
    this.#sources = new Set();
    this.#failures = [];
    return result;
  }

  close(): void {
    this.#transport.close();
  }

  static #lastEcho = 0;
}

/**
 * HTTP, over a connection for each call or one that is kept. A kept one that ends while nothing is asked is a failure of
 * the next call: the agent would go on over another one.
 */
export class HttpTransport implements Transport {
  readonly #agent: Agent;
  readonly #isKept: boolean;
  #kept: { readonly connection: Connection; readonly localPort: number } | undefined;
  readonly #address: string;
  readonly #sourcePort: number | undefined;
  readonly #timeoutMs: number;

  constructor(address: string, isKept: boolean, sourcePort?: number, timeoutMs = REQUEST_TIMEOUT_MS) {
    this.#timeoutMs = timeoutMs;
    this.#isKept = isKept;
    this.#agent = new Agent({ keepAlive: isKept, maxSockets: isKept ? 1 : Number.POSITIVE_INFINITY });
    this.#address = address;
    this.#sourcePort = sourcePort;
  }

  async ask(echo: string): Promise<Heard> {
    const outgoing = request({
      agent: this.#agent,
      host: this.#address,
      port: SERVICE_PORT,
      path: `/${encodeURIComponent(echo)}`,
      signal: AbortSignal.timeout(this.#timeoutMs),
      ...(this.#sourcePort === undefined ? {} : { localPort: this.#sourcePort }),
    });
    // A socket forgets both of its ends when it closes.
    let localPort: number | undefined;
    outgoing.once("socket", (socket) => {
      const note = (): void => {
        localPort = socket.localPort;
      };
      if (socket.connecting) socket.once("connect", note);
      else note();
    });
    outgoing.end();
    const before = this.#kept;
    this.#kept = undefined;
    try {
      const [response] = await once(outgoing, "response");
      const connection: Connection = response.socket;
      const { remoteAddress = "", localPort: port = 0 } = connection;
      let body = "";
      for await (const chunk of response.setEncoding("utf8")) body += chunk;
      if (this.#isKept) this.#kept = { connection, localPort: port };
      if (before !== undefined && before.connection !== connection) {
        localPort = before.localPort;
        throw new Error("socket hang up while nothing was asked");
      }
      return { answer: JSON.parse(body), from: remoteAddress, localPort: port };
    } catch (error) {
      throw new RequestError(this.#address, localPort, error);
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** UDP; calls with one source port share one socket. */
class UdpTransport implements Transport {
  readonly #port: UdpPort;
  readonly #address: string;

  constructor(address: string, port: UdpPort) {
    this.#port = port;
    this.#address = address;
  }

  ask(echo: string): Promise<Heard> {
    return this.#port.ask(this.#address, echo);
  }

  close(): void {
    this.#port.close();
  }
}

/** A bound UDP socket that many calls may use at once. */
class UdpPort {
  readonly #socket: Socket;
  readonly #pending = new Map<string, (heard: Heard) => void>();
  #isOpen = true;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (message, { address }) => {
      const answer: WorkloadAnswer = JSON.parse(message.toString());
      this.#pending.get(answer.echo)?.({ answer, from: address, localPort: socket.address().port });
    });
    socket.on("error", () => {}); // an ICMP error; the missing answer says enough
  }

  static async open(family: "udp4" | "udp6", sourcePort = 0): Promise<UdpPort> {
    const socket = createSocket({ type: family, ipv6Only: family === "udp6" }); // leaves IPv4 its own port
    socket.bind(sourcePort);
    await once(socket, "listening");
    return new UdpPort(socket);
  }

  async ask(address: string, echo: string): Promise<Heard> {
    let retry: NodeJS.Timeout | undefined;
    let limit: NodeJS.Timeout | undefined;
    try {
      return await new Promise<Heard>((resolve, reject) => {
        const send = () => this.#socket.send(echo, SERVICE_PORT, address);
        this.#pending.set(echo, resolve);
        retry = setInterval(send, UDP_RETRY_MS);
        limit = setTimeout(() => reject(new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`)), REQUEST_TIMEOUT_MS);
        send();
      });
    } finally {
      clearInterval(retry);
      clearTimeout(limit);
      this.#pending.delete(echo);
    }
  }

  close(): void {
    if (this.#isOpen) this.#socket.close();
    this.#isOpen = false;
  }
}

/** Opens the sockets of all plans; UDP plans with one source port and family share theirs. */
export async function openCalls(plans: readonly CallPlan[]): Promise<Call[]> {
  const shared = new Map<string, UdpPort>();
  const calls: Call[] = [];
  for (const { protocol, address, sourcePort, timeoutMs } of plans) {
    if (protocol === "http") {
      calls.push(new Call(new HttpTransport(address, true, sourcePort, timeoutMs)));
      continue;
    }
    const family = isIPv6(address) ? "udp6" : "udp4";
    const key = `${family} ${sourcePort ?? `own ${calls.length}`}`;
    const port = shared.get(key) ?? (await UdpPort.open(family, sourcePort));
    shared.set(key, port);
    calls.push(new Call(new UdpTransport(address, port)));
  }
  return calls;
}
