// Program: `inner-packets.mjs CAPTURE PORT RESULT` takes the inner packets out of the tunnel's datagrams to PORT in a
// pcap file of Ethernet frames, and writes them to a pcap file of their own, as raw IP.
import { readFileSync, writeFileSync } from "node:fs";

const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
const LINKTYPE_RAW = 101; // a packet begins with its IP header
const ETHERNET = 14;
const UDP_HEADER = 8;
const IPPROTO_UDP = 17;

const [capture = "", port = "", result = ""] = process.argv.slice(2);
const input = readFileSync(capture);
const header = Buffer.from(input.subarray(0, PCAP_HEADER));
header.writeUInt32LE(LINKTYPE_RAW, 20);
const output = [header];
for (let at = PCAP_HEADER; at + RECORD_HEADER <= input.length; ) {
  const length = input.readUInt32LE(at + 8);
  const frame = input.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
  for (const packet of innerPackets(frame.subarray(ETHERNET))) {
    const record = Buffer.from(input.subarray(at, at + RECORD_HEADER));
    record.writeUInt32LE(packet.length, 8);
    record.writeUInt32LE(packet.length, 12);
    output.push(record, packet);
  }
  at += RECORD_HEADER + length;
}
writeFileSync(result, Buffer.concat(output));

/**
 * Several, when the kernel had yet to cut the datagram up (UDP_SEGMENT). A probe is no IP packet, and a fragment of a
 * datagram has no whole one.
 */
function innerPackets(outer) {
  const isV4 = outer[0] >> 4 === 4;
  if (isV4 && (outer.readUInt16BE(6) & 0x3fff) !== 0) return [];
  const [headerLength, protocol] = isV4 ? [(outer[0] & 15) * 4, outer[9]] : [40, outer[6]];
  if (protocol !== IPPROTO_UDP || outer.readUInt16BE(headerLength + 2) !== Number(port)) return [];
  const packets = [];
  let rest = outer.subarray(headerLength + UDP_HEADER);
  while (rest.length > 0 && (rest[0] >> 4 === 4 || rest[0] >> 4 === 6) && !isProbe(rest)) {
    const length = rest[0] >> 4 === 4 ? rest.readUInt16BE(2) : 40 + rest.readUInt16BE(4);
    // One that says more than there is shows as malformed; one that says nothing would keep the loop in its place.
    packets.push(rest.subarray(0, length));
    rest = rest.subarray(Math.max(length, 1));
  }
  return packets;
}

function isProbe(bytes) {
  return bytes[0] === 0x53 && bytes[1] === 0x57;
}
