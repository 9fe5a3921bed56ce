// Whether a packet that the engine sent is a given one after translation: by what translation and cutting leave alone.
import { VIRTIO_NET_HDR_SIZE } from "../../../assembly/shared/protocols.ts";
import { type ParsedPacket, parse } from "./parser.ts";
import type { Frame } from "./sender.ts";

/** The source port of a sent packet, if that is the one of the frame, or what was cut off its front. */
export function sourcePortIfSame(sent: Uint8Array, frame: Frame): number | undefined {
  const parsed = parse(sent);
  if (typeof parsed === "number" || parsed.kind !== frame.packet.kind) return undefined;
  const after = unchanged(sent, parsed);
  const before = unchanged(frame.bytes.subarray(VIRTIO_NET_HDR_SIZE), frame.packet);
  if (after.equals(before)) return parsed.flags === frame.packet.flags ? parsed.sourcePort : undefined;
  const mayBeFront = parsed.fragment?.hasMore === true || frame.offload.segmentSize > 0;
  const isFront = mayBeFront && after.equals(before.subarray(0, after.length));
  return isFront ? parsed.sourcePort : undefined;
}

/** Sequence numbers, where there are some, and the payload. */
function unchanged(bytes: Uint8Array, packet: ParsedPacket): Buffer {
  const { kind, headerLength, totalLength, transportLength } = packet;
  const [from, to] = packet.tcp !== undefined ? [4, 12] : kind === "echo" ? [6, 8] : [0, 0];
  return Buffer.concat([
    bytes.subarray(headerLength + from, headerLength + to),
    bytes.subarray(headerLength + transportLength, totalLength),
  ]);
}
