// The MQTT session of a worker: connects for ever with back-off, and says what was published while the broker was away
// in its order, as soon as it is back. Its subscriptions are renewed first (MQTT 3.1.1, clean session).

import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { connect, type IClientOptions, type MqttClient } from "mqtt";
import { SapwoodError } from "../../../base/errors.ts";
import type { TlsFiles } from "./netcfg.ts";

export interface SessionOptions {
  readonly workerId: string;
  readonly host: string; // name or address, an IPv6 one with or without brackets
  readonly port: number;
  readonly tls: TlsFiles | undefined;
  /** Subscribed to at each connection, before onConnected. */
  readonly topics: readonly string[];
  readonly onMessage: (topic: string, payload: Uint8Array) => void;
  /** After each connection; may publish. */
  readonly onConnected: () => void;
  readonly onDisconnected: () => void;
  /** Sentences for the log. */
  readonly tell: (sentence: string) => void;
  /** From 0 to 1; Math.random unless something else is given. */
  readonly random?: () => number;
}

interface Publication {
  readonly topic: string;
  readonly payload: string;
  /** Of one that counts in one connection alone: is told whether the broker has it. */
  readonly settle?: (isSaid: boolean) => void;
  messageId?: number; // set once it is sent
}

const QOS = 1;
const KEEPALIVE_S = 30;
const CONNECT_TIMEOUT_MS = 5000;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** Of each pause at least; the rest is by chance, so that not all workers of a cluster come back at one moment. */
const BACKOFF_SHARE_MIN = 0.5;
/** How long the end of a session waits for the broker. */
const END_MS = 1000;
/** What waits for the broker; then the oldest goes. */
const WAITING_MAX = 4096;
/** Publications whose acknowledgement is awaited. */
const UNDERWAY_MAX = 64;
const SILENCE = "the broker does not answer";
const GRANTED_MAX = 2; // larger return codes of a SUBACK are refusals

export class Session {
  readonly #options: SessionOptions;
  #host: string;
  #client: MqttClient;
  readonly #topics: Set<string>;
  readonly #waiting: Publication[] = [];
  /** In the order in which they were sent. */
  readonly #underway = new Set<Publication>();
  /** Is told when nothing waits or is underway any more, or the broker is away. */
  #onSaid: (() => void) | undefined;
  #isReady = false;
  #isClosed = false;
  #lastError = SILENCE;
  #backoffMs = BACKOFF_MIN_MS;
  readonly #onReady = new Set<() => void>();

  /** Throws config-unreadable when a file of the certificate cannot be read, config-invalid when it cannot be used. */
  constructor(options: SessionOptions) {
    this.#options = options;
    this.#topics = new Set(options.topics);
    this.#host = options.host;
    this.#client = this.#connect();
  }

  /** Name or address of the broker. */
  get host(): string {
    return this.#host;
  }

  /** Whether the broker is there and subscriptions are in force. */
  get isConnected(): boolean {
    return this.#isReady;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Resolves once the session is connected; throws not-running with the last reason when it is not in time. */
  connected(timeoutMs: number): Promise<void> {
    if (this.#isReady) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        this.#onReady.delete(settle);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#onReady.delete(settle);
        const message = `The MQTT broker ${this.#host}, port ${this.#options.port}, cannot be used: ${this.#lastError}.`;
        reject(new SapwoodError("not-running", message));
      }, timeoutMs);
      this.#onReady.add(settle);
    });
  }

  /** Says it now, or in its turn when the broker is back. */
  publish(topic: string, message: object): void {
    this.#enqueue({ topic, payload: JSON.stringify(message) });
  }

  /**
   * Says it in this connection, in its turn, or not at all: what is true now need not be when the broker is back. True as
   * soon as the broker has it; false when there is no connection, or it ended before that.
   */
  publishOnce(topic: string, message: object): Promise<boolean> {
    if (!this.#isReady) return Promise.resolve(false);
    return new Promise((settle) => this.#enqueue({ topic, payload: JSON.stringify(message), settle }));
  }

  /**
   * True as soon as the broker has the subscription. False when it refuses it, or is away: then the subscription is in
   * force at the next onConnected. What is published from now on is behind it.
   */
  async subscribe(topic: string): Promise<boolean> {
    this.#topics.add(topic);
    // Also while those of a new connection are not acknowledged yet: this one is not among them.
    if (this.#isClosed || !this.#client.connected) return false;
    try {
      await this.#subscribe([topic]);
      return true;
    } catch (error) {
      this.#options.tell(failureText(error));
      return false;
    }
  }

  unsubscribe(topic: string): void {
    if (!this.#topics.delete(topic) || !this.#client.connected) return;
    this.#client.unsubscribe(topic, () => undefined); // lost with its connection, which ends the subscription as well
  }

  /**
   * Goes to the same worker's broker at another host, with all that waits. Throws not-running when that cannot be used in
   * time, and then the session is with the one before.
   */
  async moveTo(host: string, timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    const before = this.#host;
    await this.#replace(host);
    try {
      await this.connected(deadlineMs - performance.now());
    } catch (error) {
      await this.#replace(before);
      throw error;
    }
  }

  /** Says what waits, as far as the broker takes it within a second, and disconnects. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#disconnect();
  }

  /** A broker ends the older one of two sessions with one id, so that this one has to be over first. */
  async #replace(host: string): Promise<void> {
    const wasReady = this.#isReady;
    await this.#disconnect();
    if (wasReady) this.#options.onDisconnected();
    this.#host = host;
    this.#backoffMs = BACKOFF_MIN_MS;
    this.#lastError = SILENCE;
    this.#client = this.#connect();
  }

  #connect(): MqttClient {
    const client = connect(clientOptions(this.#options, this.#host));
    const isCurrent = () => client === this.#client;
    client.on("connect", () => void this.#onConnect(client));
    client.on("close", () => {
      if (isCurrent()) this.#onClose();
    });
    client.on("error", (error) => {
      if (isCurrent()) this.#lastError = failureText(error);
    });
    client.on("message", (topic, payload) => this.#options.onMessage(topic, payload));
    return client;
  }

  async #disconnect(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, END_MS);
    });
    await Promise.race([this.#said(), patience]);
    const isForced = !this.#isReady || !this.#isSaid;
    this.#isReady = false;
    this.#takeBack();
    await Promise.race([this.#client.endAsync(isForced), patience]);
    clearTimeout(timer);
    this.#client.stream.destroy(); // of a broker that does not close its end
  }

  get #isSaid(): boolean {
    return this.#waiting.length === 0 && this.#underway.size === 0;
  }

  /** Resolves when nothing waits or is underway any more, or the broker is away. */
  #said(): Promise<void> {
    if (!this.#isReady || this.#isSaid) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onSaid = resolve;
    });
  }

  async #onConnect(client: MqttClient): Promise<void> {
    try {
      await this.#subscribe([...this.#topics]);
    } catch (error) {
      if (client !== this.#client) return;
      this.#lastError = failureText(error);
      this.#options.tell(`the broker refuses a subscription: ${this.#lastError}`);
      client.stream.destroy(); // connects anew
      return;
    }
    if (this.#isClosed || client !== this.#client || !client.connected) return;
    this.#planPause(BACKOFF_MIN_MS);
    this.#isReady = true;
    this.#options.tell(`connected to the broker ${this.#host}, port ${this.#options.port}`);
    for (const settle of [...this.#onReady]) settle();
    this.#options.onConnected();
    this.#send();
  }

  #onClose(): void {
    // The client has planned its next attempt; this is the one after it.
    this.#planPause(Math.min(2 * this.#backoffMs, BACKOFF_MAX_MS));
    if (!this.#isReady) return;
    this.#isReady = false;
    this.#takeBack();
    this.#onSaid?.();
    if (this.#isClosed) return;
    this.#options.tell(`the connection to the broker ended: ${this.#lastError}`);
    this.#options.onDisconnected();
  }

  async #subscribe(topics: readonly string[]): Promise<void> {
    const granted = await this.#client.subscribeAsync([...topics], { qos: QOS });
    const refused = granted.find(({ qos }) => Number(qos) > GRANTED_MAX);
    if (refused !== undefined) throw new Error(`no right to subscribe to ${refused.topic}`);
  }

  #planPause(longestMs: number): void {
    const { random = Math.random } = this.#options;
    this.#backoffMs = longestMs;
    const share = BACKOFF_SHARE_MIN + (1 - BACKOFF_SHARE_MIN) * random();
    this.#client.options.reconnectPeriod = Math.round(longestMs * share);
  }

  #enqueue(publication: Publication): void {
    if (this.#waiting.length >= WAITING_MAX) {
      const lost = this.#waiting.shift();
      lost?.settle?.(false);
      this.#options.tell(`${WAITING_MAX} messages wait for the broker; one to ${lost?.topic} is given up`);
    }
    this.#waiting.push(publication);
    this.#send();
  }

  #send(): void {
    const client = this.#client;
    while (this.#isReady && this.#underway.size < UNDERWAY_MAX) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#underway.add(next);
      client.publish(next.topic, next.payload, { qos: QOS }, (error) => {
        if (!this.#underway.delete(next)) return; // it was taken back
        if (error && !this.#isClosed) this.#options.tell(`a message to ${next.topic} failed: ${failureText(error)}`);
        next.settle?.(!error);
        this.#send();
        if (this.#isSaid) this.#onSaid?.();
      });
      next.messageId = client.getLastMessageId();
    }
  }

  /**
   * The connection ended. What the broker has not acknowledged waits again, in front of all else. The client would say
   * it again by itself, also what counted in that connection alone.
   */
  #takeBack(): void {
    const unsaid = [...this.#underway, ...this.#waiting.splice(0)];
    const messageIds = [...this.#underway].flatMap(({ messageId }) => messageId ?? []);
    this.#underway.clear();
    for (const id of messageIds) this.#client.removeOutgoingMessage(id);
    for (const one of unsaid) {
      if (one.settle === undefined) this.#waiting.push(one);
      else one.settle(false);
    }
  }
}

function clientOptions({ workerId, port, tls }: SessionOptions, host: string): IClientOptions {
  const name = host.replace(/^\[(.*)\]$/, "$1");
  return {
    protocolVersion: 4,
    clientId: workerId,
    clean: true,
    keepalive: KEEPALIVE_S,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: BACKOFF_MIN_MS,
    reconnectOnConnackError: true,
    resubscribe: false,
    host: name,
    port,
    ...(tls === undefined ? { protocol: "mqtt" } : { protocol: "mqtts", rejectUnauthorized: true, ...pemOf(tls) }),
  };
}

/** Without a CA of its own the system's are trusted. */
function pemOf({ cert, key, ca }: TlsFiles): IClientOptions {
  const pem = {
    ...(cert === "" ? {} : { cert: readPem(cert, "MqttCert"), key: readPem(key, "MqttKey") }),
    ...(ca === "" ? {} : { ca: readPem(ca, "MqttCa") }),
  };
  try {
    createSecureContext(pem);
  } catch (error) {
    const files = Object.entries({ MqttCert: cert, MqttKey: key, MqttCa: ca }).filter(([, file]) => file !== "");
    const named = files.map(([field, file]) => `${field} ${file}`).join(", ");
    throw new SapwoodError("config-invalid", `${named}: cannot be used for TLS: ${failureText(error)}.`, {
      cause: error,
    });
  }
  return pem;
}

function readPem(path: string, field: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new SapwoodError("config-unreadable", `${field}: ${path} cannot be read (${reason})`, { cause: error });
  }
}

/** A sentence without full stop. Names with several addresses fail with an error for each. */
function failureText(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(failureText).join(", ");
  if (!(error instanceof Error)) return String(error);
  return (error.message || ("code" in error ? String(error.code) : error.name)).replace(/\.$/, "");
}
