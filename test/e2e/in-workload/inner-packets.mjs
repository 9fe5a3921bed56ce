// Program: `inner-packets.mjs PORT RESULT CAPTURE...` takes the inner packets out of the tunnel's datagrams to PORT in
// pcap files of Ethernet frames, and writes them to one pcap file of their own, as raw IP.
import { readFileSync, writeFileSync } from "node:fs";

const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
const LINKTYPE_RAW = 101; // a packet begins with its IP header
const ETHERNET = 14;
const UDP_HEADER = 8;
const IPV6_HEADER = 40;
const IPPROTO_UDP = 17;

const [port = "", result = "", ...captures] = process.argv.slice(2);
const output = [];
for (const capture of captures) {
  const input = readFileSync(capture);
  if (output.length === 0) {
    const header = Buffer.from(input.subarray(0, PCAP_HEADER));
    header.writeUInt32LE(LINKTYPE_RAW, 20);
    output.push(header);
  }
  for (let at = PCAP_HEADER; at + RECORD_HEADER <= input.length; ) {
    const length = input.readUInt32LE(at + 8);
    const isWhole = length === input.readUInt32LE(at + 12);
    const frame = input.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    for (const packet of innerPackets(frame.subarray(ETHERNET), isWhole)) {
      const record = Buffer.from(input.subarray(at, at + RECORD_HEADER));
      record.writeUInt32LE(packet.length, 8);
      record.writeUInt32LE(packet.length, 12);
      output.push(record, packet);
    }
    at += RECORD_HEADER + length;
  }
}
writeFileSync(result, Buffer.concat(output));

/**
 * Several, when the kernel had yet to cut the datagram up (UDP_SEGMENT); the last of them is left out when only a part
 * of it was recorded. A probe is no IP packet, and a fragment of a datagram has no whole one.
 */
function innerPackets(outer, isWhole) {
  const isV4 = outer[0] >> 4 === 4;
  if (isV4 && (outer.readUInt16BE(6) & 0x3fff) !== 0) return [];
  const [headerLength, protocol] = isV4 ? [(outer[0] & 15) * 4, outer[9]] : [IPV6_HEADER, outer[6]];
  if (protocol !== IPPROTO_UDP || outer.readUInt16BE(headerLength + 2) !== Number(port)) return [];
  const packets = [];
  let rest = outer.subarray(headerLength + UDP_HEADER);
  while (rest.length > 0 && (rest[0] >> 4 === 4 || rest[0] >> 4 === 6) && !isProbe(rest)) {
    if (!isWhole && rest.length < IPV6_HEADER) break;
    const length = rest[0] >> 4 === 4 ? rest.readUInt16BE(2) : IPV6_HEADER + rest.readUInt16BE(4);
    if (!isWhole && rest.length < length) break;
    // One that says more than there is shows as malformed; one that says nothing would keep the loop in its place.
    packets.push(rest.subarray(0, length));
    rest = rest.subarray(Math.max(length, 1));
  }
  return packets;
}

function isProbe(bytes) {
  return bytes[0] === 0x53 && bytes[1] === 0x57;
}
