// A real Mosquitto on the loopback, for tests that need no network of their own. Its verbose log is what was said to it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../free-port.ts";

const HOST = "127.0.0.1";

export class LocalBroker {
  readonly host = HOST;
  readonly port: number;
  readonly #folder: string;
  #process: ChildProcess | undefined;
  #log = "";

  private constructor(port: number) {
    this.port = port;
    this.#folder = mkdtempSync(join(tmpdir(), "sapwood-broker-"));
    const settings = ["persistence false", `listener ${port} ${HOST}`, "allow_anonymous true", "max_queued_messages 0"];
    writeFileSync(join(this.#folder, "mosquitto.conf"), `${settings.join("\n")}\n`);
  }

  static async start(): Promise<LocalBroker> {
    const broker = new LocalBroker(await freePort());
    await broker.start();
    return broker;
  }

  /** All that it said since the test began, also before it was killed. */
  get log(): string {
    return this.#log;
  }

  /** Topics of the messages of a client, in their order, each once however often it was sent; "TOPIC (q1, r0)". */
  published(clientId: string): string[] {
    const received = new RegExp(`Received PUBLISH from ${clientId} \\(d\\d, (q\\d, r\\d), m\\d+, '([^']+)'`, "g");
    return [...new Set([...this.#log.matchAll(received)].map(([, how, topic]) => `${topic} (${how})`))];
  }

  async start(): Promise<void> {
    const seen = this.#log.length;
    const broker = spawn("mosquitto", ["-v", "-c", join(this.#folder, "mosquitto.conf")], { stdio: "pipe" });
    this.#process = broker;
    await new Promise<void>((resolve, reject) => {
      const take = (data: Buffer) => {
        this.#log += data.toString();
        if (/mosquitto version .* running/.test(this.#log.slice(seen))) resolve();
      };
      broker.stdout.on("data", take);
      broker.stderr.on("data", take);
      broker.on("error", reject);
      broker.on("exit", () => reject(new Error(`mosquitto ended: ${this.#log.slice(seen)}`)));
    });
  }

  async kill(): Promise<void> {
    const broker = this.#process;
    this.#process = undefined;
    if (broker === undefined) return;
    const ended = once(broker, "exit");
    broker.kill("SIGKILL");
    await ended;
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }
}
