// A broker on the loopback that holds back what a real one would say at once, and cuts connections where a test wants it
// (MQTT 3.1.1). It passes nothing on by itself.
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

const HOST = "127.0.0.1";
/** Upper half of the first byte of a packet. */
const TYPE = { connect: 1, connack: 2, publish: 3, puback: 4, subscribe: 8, suback: 9, unsubscribe: 10, unsuback: 11 };
const PINGREQ = 12;
const PINGRESP = Buffer.from([0xd0, 0]);
const QOS_1 = 0x02;

export class FakeBroker {
  readonly host = HOST;
  /**
   * What happened, in its order: "CONNECT", "SUBSCRIBE TOPIC, ...", "UNSUBSCRIBE TOPIC", "PUBLISH TOPIC PAYLOAD" when it
   * came, "CONNACK", "SUBACK" and "PUBACK" when it was said.
   */
  readonly log: string[] = [];
  /** Whether these are acknowledged as soon as they come. */
  acknowledges = { connections: true, subscriptions: true, publications: true };
  /** What is published to it is never acknowledged. */
  silentTopic: string | undefined;
  /** Return codes; others than these are refusals. */
  codes = { connection: 0, subscription: 1 };
  /** May answer with `publish`. */
  onPublish: (topic: string, payload: string) => void = () => undefined;
  /** Connections are closed as soon as they come. */
  refuse = false;
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #held: (() => void)[] = [];

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket: Socket) => this.#serve(socket));
  }

  static async listen(): Promise<FakeBroker> {
    const server = createServer();
    server.listen(0, HOST);
    await once(server, "listening");
    return new FakeBroker(server);
  }

  /** Payloads that were published to a topic, each time that they came. */
  published(topic: string): string[] {
    return this.log.flatMap((line) => (line.startsWith(`PUBLISH ${topic} `) ? line.slice(9 + topic.length) : []));
  }

  /** Says now what it has held back. */
  release(): void {
    for (const say of this.#held.splice(0)) say();
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  /** To all that are connected, with QoS 0. */
  publish(topic: string, payload: string): void {
    const packet = framed(0x30, Buffer.concat([textField(topic), Buffer.from(payload)]));
    for (const socket of this.#sockets) socket.write(packet);
  }

  /** Cuts all connections; what was held back for them is never said. */
  cut(): void {
    this.#held = [];
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket): void {
    if (this.refuse) {
      this.log.push("REFUSED");
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    let received = Buffer.alloc(0);
    socket.on("error", () => undefined).on("close", () => this.#sockets.delete(socket));
    socket.on("data", (part) => {
      received = Buffer.concat([received, part]);
      for (let packet = firstPacket(received); packet !== undefined; packet = firstPacket(received)) {
        received = received.subarray(packet.bytes);
        this.#take(socket, packet.first, packet.body);
      }
    });
  }

  #take(socket: Socket, first: number, body: Buffer): void {
    const { connections, subscriptions, publications } = this.acknowledges;
    const { connection, subscription } = this.codes;
    switch (first >> 4) {
      case TYPE.connect:
        this.log.push("CONNECT");
        return this.#acknowledge(
          connections,
          "CONNACK",
          socket,
          framed(TYPE.connack << 4, Buffer.from([0, connection])),
        );
      case TYPE.subscribe: {
        const topics = textFields(body.subarray(2), 1);
        this.log.push(`SUBSCRIBE ${topics.join(", ")}`);
        const granted = Buffer.concat([body.subarray(0, 2), Buffer.from(topics.map(() => subscription))]);
        return this.#acknowledge(subscriptions, "SUBACK", socket, framed(TYPE.suback << 4, granted));
      }
      case TYPE.unsubscribe:
        this.log.push(`UNSUBSCRIBE ${textFields(body.subarray(2), 0).join(", ")}`);
        socket.write(framed(TYPE.unsuback << 4, body.subarray(0, 2)));
        return;
      case TYPE.publish: {
        const topicEnd = 2 + body.readUInt16BE(0);
        const isAcknowledged = (first & QOS_1) !== 0;
        const payload = body.subarray(topicEnd + (isAcknowledged ? 2 : 0)).toString();
        const topic = body.subarray(2, topicEnd).toString();
        this.log.push(`PUBLISH ${topic} ${payload}`);
        const id = body.subarray(topicEnd, topicEnd + 2);
        const isAtOnce = publications && topic !== this.silentTopic;
        if (isAcknowledged) this.#acknowledge(isAtOnce, "PUBACK", socket, framed(TYPE.puback << 4, id));
        this.onPublish(topic, payload);
        return;
      }
      case PINGREQ:
        socket.write(PINGRESP);
        return;
      default:
        return; // DISCONNECT, with which a client closes the connection
    }
  }

  #acknowledge(isAtOnce: boolean, what: string, socket: Socket, packet: Buffer): void {
    const say = (): void => {
      this.log.push(what);
      socket.write(packet);
    };
    if (isAtOnce) say();
    else this.#held.push(say);
  }
}

/** Undefined while it is not there as a whole. */
function firstPacket(bytes: Buffer): { first: number; body: Buffer; bytes: number } | undefined {
  let length = 0;
  for (let at = 1; at < bytes.length; at++) {
    const digit = bytes[at] ?? 0;
    length += (digit & 127) * 128 ** (at - 1);
    if (digit >= 128) continue;
    const end = at + 1 + length;
    return end > bytes.length ? undefined : { first: bytes[0] ?? 0, body: bytes.subarray(at + 1, end), bytes: end };
  }
  return undefined;
}

function framed(first: number, body: Buffer): Buffer {
  const header = [first];
  let length = body.length;
  do {
    header.push((length % 128) | (length >= 128 ? 128 : 0));
    length = Math.floor(length / 128);
  } while (length > 0);
  return Buffer.concat([Buffer.from(header), body]);
}

function textField(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}

/** Texts of a list, each with `more` bytes behind it. */
function textFields(body: Buffer, more: number): string[] {
  const texts: string[] = [];
  for (let at = 0; at < body.length; ) {
    const end = at + 2 + body.readUInt16BE(at);
    texts.push(body.subarray(at + 2, end).toString());
    at = end + more;
  }
  return texts;
}
