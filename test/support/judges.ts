// tshark and tcpdump as the judges of a pcap file: lengths, structure, and every checksum.
import type { Sandbox } from "../../src/lab/sandbox.ts";

/** Wireshark leaves those unverified by default that a device may have to finish. */
const VERIFY = ["ip", "tcp", "udp"].flatMap((protocol) => ["-o", `${protocol}.check_checksum:TRUE`]);
/** Left alone, Wireshark guesses what payloads are, and finds random bytes malformed. */
const NO_GUESSES = ["tcp", "udp"].flatMap((protocol) => ["-d", `${protocol}.port==0-65535,data`]);
/** Groups of Wireshark's expert information: PI_CHECKSUM and PI_MALFORMED of epan/proto.h. */
const FAULTS = "_ws.expert.group == 0x01000000 || _ws.expert.group == 0x07000000";
/** What tcpdump says of a packet that it would not accept. */
const COMPLAINTS = /bad cksum|incorrect|wrong icmp|truncated|bad-len|bad udp cksum|bad icmp6 cksum|invalid/;

/** In the payload of packets that only say how far a recording has come: the judges look at all others. */
export const MARK = "sapwood-was-here"; // 16 bytes, as many as ping repeats

const SHOWN = ["frame.number", "_ws.col.Source", "_ws.col.Destination", "_ws.col.Protocol", "_ws.expert.message"];

/** What the judges object to: a line for each judge and packet, with its addresses, its protocol and what is wrong. */
export async function faultsIn(sandbox: Sandbox, file: string): Promise<string[]> {
  const [ofTshark, text] = await Promise.all([
    tshark(sandbox, file, FAULTS, SHOWN),
    sandbox.expect(["tcpdump", "-nvv", "-r", file]),
  ]);
  // A packet's details follow on lines that are set in.
  const ofTcpdump = text.split(/\n(?!\s)/).filter((shown) => COMPLAINTS.test(shown));
  return [
    ...ofTshark.map((line) => `tshark: packet ${line.replaceAll("\t", " ")}`),
    ...ofTcpdump.map((shown) => `tcpdump: ${shown.replaceAll(/\s+/g, " ").trim()}`),
  ];
}

/** The protocol of each packet, in Wireshark's words. */
export async function protocolsIn(sandbox: Sandbox, file: string): Promise<string[]> {
  return await tshark(sandbox, file, `(ip || ipv6) && !(frame contains "${MARK}")`, ["_ws.col.Protocol"]);
}

/** The fields of each packet that the filter takes, a line each. */
async function tshark(sandbox: Sandbox, file: string, filter: string, fields: readonly string[]): Promise<string[]> {
  const shown = ["-T", "fields", ...fields.flatMap((field) => ["-e", field])];
  const text = await sandbox.expect(["tshark", "-n", "-r", file, ...NO_GUESSES, ...VERIFY, ...shown, "-Y", filter]);
  return text.split("\n").filter((line) => line !== "");
}
