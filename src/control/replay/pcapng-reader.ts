// Reads packets from pcapng (draft-ietf-opsawg-pcapng), as `sapwood capture` and programs that handle its files write it.
// A file is hostile: every length is checked before it is used, and what is kept of it at a time is bounded.

import { SapwoodError } from "../../base/errors.ts";
import { shortText } from "../../base/issues.ts";
import * as Pcapng from "../observe/pcapng-format.ts";

const OLD_PACKET = 2;
const SIMPLE_PACKET = 3;
const HEAD = 8; // type and length
const BLOCK_MIN = 12;
/** Many times what a packet of 64 KiB with its comment needs. */
const BLOCK_MAX = 2 ** 24;
/** As programs that merge files write one for each of theirs. */
const INTERFACES_MAX = 4096;
/** Of a name and of a comment so many bytes are read: many times what sapwood and the kernel write. */
const NAME_MAX = 256;
const COMMENT_MAX = 4096;

const INTERFACE_RESOLUTION = 9;
const INTERFACE_TIME_OFFSET = 14;
const INTERFACE_BODY = 8;
const PACKET_BODY = 20;

/** First bytes of files that are something else, read as little-endian. */
const PCAP: readonly number[] = [0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1];
const GZIP = 0x8b1f;

/** By the flags of a packet. */
const DIRECTIONS: ReadonlyMap<number, "inbound" | "outbound"> = new Map([
  [Pcapng.FLAG_INBOUND, "inbound"],
  [Pcapng.FLAG_OUTBOUND, "outbound"],
]);
const DIRECTION_MASK = 3;
type Direction = ReturnType<typeof DIRECTIONS.get>;

export interface PcapngInterface {
  readonly name: string; // "" = it has none
  readonly linkType: number;
}

export interface PcapngPacket {
  /** From 1, as Wireshark counts. */
  readonly number: number;
  /** Undefined: the block says neither interface nor time. */
  readonly interface: PcapngInterface | undefined;
  /** Microseconds since 1970. */
  readonly timeUs: number;
  /** What was captured of it. */
  readonly bytes: Uint8Array;
  readonly length: number;
  /** Undefined: the block does not say. */
  readonly direction: Direction;
  /** "" = it has none. */
  readonly comment: string;
}

interface KnownInterface extends PcapngInterface {
  readonly usPerTick: number;
  readonly offsetUs: number;
}

export class PcapngReader {
  /** All interfaces so far, each name with each link type once; bounded. */
  readonly #known = new Map<string, PcapngInterface>();
  readonly #name: string;
  readonly #interfaces: KnownInterface[] = [];
  /** Of a block that is not whole yet, in pieces: it is put together once. */
  #pieces: Buffer[] = [];
  #size = 0; // of the pieces
  #needed = BLOCK_MIN; // so many bytes of them are to be looked at
  #rest: Buffer = Buffer.alloc(0);
  #at = 0; // of #rest in the file
  #isBigEndian = false;
  #isBegun = false;
  #packets = 0;

  /** `name` stands for the file in sentences. */
  constructor(name: string) {
    this.#name = name;
  }

  get knownInterfaces(): PcapngInterface[] {
    return [...this.#known.values()];
  }

  /** The packets of the blocks that this piece completes. Throws capture-unreadable. */
  *add(piece: Buffer): Generator<PcapngPacket> {
    this.#pieces.push(piece);
    this.#size += piece.length;
    if (this.#size < this.#needed) return;
    this.#rest = this.#pieces.length === 1 ? piece : Buffer.concat(this.#pieces);
    this.#needed = BLOCK_MIN;
    let done = 0;
    for (;;) {
      const left = this.#rest.length - done;
      if (left < BLOCK_MIN) break;
      const length = this.#blockLength(done);
      if (left < length) {
        this.#needed = length;
        break;
      }
      const packet = this.#block(this.#rest.subarray(done, done + length));
      done += length;
      this.#at += length;
      if (packet !== undefined) yield packet;
    }
    this.#pieces = [this.#rest.subarray(done)];
    this.#size = this.#rest.length - done;
  }

  /** The file has no more bytes. Throws capture-unreadable when it ends within a block. */
  end(): void {
    if (!this.#isBegun) throw this.#refusal("a pcapng file", this.#size === 0 ? "no bytes" : "a few bytes");
    if (this.#size === 0) return;
    throw this.#refusal("a whole block", `${this.#size} bytes of one, after packet ${this.#packets}`);
  }

  /** How long the block at `offset` of #rest says that it is. */
  #blockLength(offset: number): number {
    if (this.#rest.readUInt32LE(offset) === Pcapng.SECTION) this.#isBigEndian = this.#endOfSection(offset);
    else if (!this.#isBegun) throw this.#refusal("a pcapng file", otherFile(this.#rest.readUInt32LE(offset)));
    const length = this.#u32(this.#rest, offset + 4);
    if (length < BLOCK_MIN || length > BLOCK_MAX || length % 4 !== 0) {
      throw this.#refusal(`a block of ${BLOCK_MIN} to ${BLOCK_MAX} bytes, a multiple of 4`, `one of ${length}`);
    }
    return length;
  }

  /** Whether a section is big-endian. */
  #endOfSection(offset: number): boolean {
    const magic = this.#rest.readUInt32LE(offset + HEAD);
    if (magic === Pcapng.BYTE_ORDER_MAGIC) return false;
    if (this.#rest.readUInt32BE(offset + HEAD) === Pcapng.BYTE_ORDER_MAGIC) return true;
    throw this.#refusal("the byte-order magic of a section", `0x${magic.toString(16)}`);
  }

  #block(block: Buffer): PcapngPacket | undefined {
    const [type, length] = [this.#u32(block, 0), this.#u32(block, block.length - 4)];
    if (length !== block.length)
      throw this.#refusal(`${block.length} at the end of a block as its length`, `${length}`);
    const body = block.subarray(HEAD, -4);
    switch (type) {
      case Pcapng.SECTION:
        this.#isBegun = true;
        this.#interfaces.length = 0;
        return undefined;
      case Pcapng.INTERFACE:
        this.#addInterface(body);
        return undefined;
      case Pcapng.PACKET:
        return this.#packet(body);
      case OLD_PACKET:
      case SIMPLE_PACKET:
        this.#packets += 1;
        return {
          ...{ number: this.#packets, interface: undefined, timeUs: 0, bytes: Buffer.from(body), length: body.length },
          ...{ direction: undefined, comment: "" },
        };
      default:
        return undefined;
    }
  }

  #addInterface(body: Buffer): void {
    this.#require(body, INTERFACE_BODY, "an interface");
    if (this.#interfaces.length === INTERFACES_MAX) {
      throw this.#refusal(`at most ${INTERFACES_MAX} interfaces in a section`, "more");
    }
    let name = "";
    let usPerTick = 1;
    let offsetUs = 0;
    for (const { code, value } of this.#options(body.subarray(INTERFACE_BODY))) {
      if (code === Pcapng.INTERFACE_NAME) name = value.toString("utf8", 0, NAME_MAX);
      else if (code === INTERFACE_RESOLUTION && value.length >= 1) usPerTick = 1e6 * resolution(value[0] as number);
      else if (code === INTERFACE_TIME_OFFSET && value.length === 8) {
        offsetUs = 1e6 * Number(this.#isBigEndian ? value.readBigInt64BE() : value.readBigInt64LE());
      }
    }
    const found = { name, linkType: this.#u16(body, 0), usPerTick, offsetUs };
    if (this.#known.size < INTERFACES_MAX) this.#known.set(`${found.linkType} ${name}`, found);
    this.#interfaces.push(found);
  }

  #packet(body: Buffer): PcapngPacket {
    this.#packets += 1;
    this.#require(body, PACKET_BODY, "a packet");
    const index = this.#u32(body, 0);
    const known = this.#interfaces[index];
    if (known === undefined) throw this.#refusal("an interface of the section", `number ${index}`);
    const ticks = this.#u32(body, 4) * 2 ** 32 + this.#u32(body, 8);
    const captured = this.#u32(body, 12);
    const end = PACKET_BODY + captured + Pcapng.paddingOf(captured);
    this.#require(body, end, `${captured} bytes of a packet`);
    let direction: Direction;
    let comment = "";
    for (const { code, value } of this.#options(body.subarray(end))) {
      if (code === Pcapng.OPTION_COMMENT && comment === "") comment = value.toString("utf8", 0, COMMENT_MAX);
      else if (code === Pcapng.PACKET_FLAGS && value.length === 4)
        direction = DIRECTIONS.get(this.#u32(value, 0) & DIRECTION_MASK);
    }
    return {
      number: this.#packets,
      interface: known,
      timeUs: ticks * known.usPerTick + known.offsetUs,
      bytes: Buffer.from(body.subarray(PACKET_BODY, PACKET_BODY + captured)), // who keeps it keeps nothing else
      length: this.#u32(body, 16),
      direction,
      comment,
    };
  }

  *#options(bytes: Buffer): Generator<{ readonly code: number; readonly value: Buffer }> {
    for (let at = 0; at + 4 <= bytes.length; ) {
      const [code, length] = [this.#u16(bytes, at), this.#u16(bytes, at + 2)];
      if (code === Pcapng.OPTION_END) return;
      this.#require(bytes, at + 4 + length, "an option");
      yield { code, value: bytes.subarray(at + 4, at + 4 + length) };
      at += 4 + length + Pcapng.paddingOf(length);
    }
  }

  #require(bytes: Buffer, length: number, what: string): void {
    if (bytes.length < length) throw this.#refusal(`${what} within its block`, "less");
  }

  #u32(bytes: Buffer, at: number): number {
    return this.#isBigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
  }

  #u16(bytes: Buffer, at: number): number {
    return this.#isBigEndian ? bytes.readUInt16BE(at) : bytes.readUInt16LE(at);
  }

  #refusal(expected: string, found: string): SapwoodError {
    const where = this.#at === 0 ? this.#name : `${this.#name}, byte ${this.#at}`;
    return new SapwoodError("capture-unreadable", `${where}: expected ${expected}, found ${found}.`);
  }
}

/** How long a unit of time stamps is, in seconds: a power of 10 or, with the upper bit, of 2. */
function resolution(exponent: number): number {
  return exponent < 0x80 ? 10 ** -exponent : 2 ** -(exponent & 0x7f);
}

function otherFile(first: number): string {
  if ((first & 0xffff) === GZIP) return "a compressed file";
  if (PCAP.includes(first)) return "a pcap file";
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(first);
  return `one that begins with "${shortText(bytes.toString("latin1"))}"`;
}
