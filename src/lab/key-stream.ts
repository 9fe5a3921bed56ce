// A TCP connection to a sink that carries a key stream, so that a piece that is lost, doubled or moved changes the sum.
import { createCipheriv, createHash } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { SINK_PORT } from "./workload-protocol.ts";

export class KeyStream {
  readonly #cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16));
  readonly #hash = createHash("sha256");
  readonly #connection: Socket;
  readonly #closed: Promise<unknown>;
  #received = "";

  private constructor(address: string) {
    this.#connection = connect({ host: address, port: SINK_PORT });
    this.#connection.setEncoding("utf8").on("data", (text: string) => {
      this.#received += text;
    });
    this.#closed = once(this.#connection, "close");
  }

  static async open(address: string): Promise<KeyStream> {
    const stream = new KeyStream(address);
    await once(stream.#connection, "connect");
    return stream;
  }

  /** Sends as many bytes as `zeros` has; resolves when there is room for more. */
  async send(zeros: Buffer): Promise<void> {
    const chunk = this.#cipher.update(zeros);
    this.#hash.update(chunk);
    if (!this.#connection.write(chunk)) await once(this.#connection, "drain");
  }

  /** Ends the stream: the sum of what was sent, and the sink's of what it received, both SHA-256 in hex. */
  async end(): Promise<{ readonly sent: string; readonly received: string }> {
    this.#connection.end();
    await this.#closed;
    return { sent: this.#hash.digest("hex"), received: this.#received };
  }
}
