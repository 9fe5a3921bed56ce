// Writes packets as pcapng (draft-ietf-opsawg-pcapng): blocks in this machine's byte order, times in microseconds.

import * as Pcapng from "./pcapng-format.ts";

const STATISTICS = 5;
const UNKNOWN_LENGTH = 0xffffffff; // of the section, both halves

const SECTION_APPLICATION = 4;
const STATISTICS_START = 2;
const STATISTICS_END = 3;
const STATISTICS_RECEIVED = 4;
const STATISTICS_DROPPED = 5;

export interface CapturedPacket {
  /** Index of its interface in the order of their blocks. */
  readonly interface: number;
  /** Microseconds since 1970. */
  readonly timeUs: number;
  /** What was captured of it, in pieces. */
  readonly parts: readonly Uint8Array[];
  readonly length: number;
  readonly isInbound: boolean;
  readonly comment: string;
}

interface InterfaceStatistics {
  readonly interface: number;
  readonly fromUs: number;
  readonly toUs: number;
  readonly received: number;
  readonly dropped: number;
}

export function sectionBlock(application: string): Uint8Array {
  const body = words(Pcapng.BYTE_ORDER_MAGIC, 1 /* version 1.0 */, UNKNOWN_LENGTH, UNKNOWN_LENGTH);
  return block(Pcapng.SECTION, [body], [textOption(SECTION_APPLICATION, application)]);
}

export function interfaceBlock(name: string, snapLength: number): Uint8Array {
  return block(Pcapng.INTERFACE, [words(Pcapng.LINKTYPE_RAW, snapLength)], [textOption(Pcapng.INTERFACE_NAME, name)]);
}

export function packetBlock({ timeUs, parts, length, isInbound, comment, ...packet }: CapturedPacket): Uint8Array {
  const captured = parts.reduce((sum, part) => sum + part.length, 0);
  const head = words(packet.interface, ...timestamp(timeUs), captured, length);
  const padding = new Uint8Array(Pcapng.paddingOf(captured));
  const flags = words(isInbound ? Pcapng.FLAG_INBOUND : Pcapng.FLAG_OUTBOUND);
  return block(
    Pcapng.PACKET,
    [head, ...parts, padding],
    [textOption(Pcapng.OPTION_COMMENT, comment), option(Pcapng.PACKET_FLAGS, flags)],
  );
}

export function statisticsBlock({ fromUs, toUs, received, dropped, ...about }: InterfaceStatistics): Uint8Array {
  return block(
    STATISTICS,
    [words(about.interface, ...timestamp(toUs))],
    [
      option(STATISTICS_START, words(...timestamp(fromUs))),
      option(STATISTICS_END, words(...timestamp(toUs))),
      option(STATISTICS_RECEIVED, count64(received)),
      option(STATISTICS_DROPPED, count64(dropped)),
    ],
  );
}

function block(type: number, body: readonly Uint8Array[], options: readonly Uint8Array[]): Uint8Array {
  const content = [...body, ...options, words(Pcapng.OPTION_END)];
  const length = 12 + content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([words(type, length), ...content, words(length)], length);
}

function textOption(code: number, text: string): Uint8Array {
  return option(code, Buffer.from(text));
}

function option(code: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([words(code | (value.length << 16)), value, new Uint8Array(Pcapng.paddingOf(value.length))]);
}

/** Upper half first. */
function timestamp(timeUs: number): [number, number] {
  return [Math.floor(timeUs / 2 ** 32), Math.floor(timeUs) % 2 ** 32];
}

function count64(count: number): Uint8Array {
  return words(count % 2 ** 32, Math.floor(count / 2 ** 32));
}

/** Little-endian, as all machines that sapwood runs on. */
function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
