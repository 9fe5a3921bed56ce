// `sapwood capture`: the packets of a running proxy as they pass, as pcapng, with what happened to each.

import type { Command, CommandInput } from "./command.ts";
import { SOCKET_OPTION } from "./query-command.ts";

export const captureCommand: Command = {
  name: "capture",
  group: "Look at a running proxy",
  summary: "record packets as pcapng, for Wireshark: each with its verdict, service, instance and drop reason",
  options: [
    { flags: "-w, --write <file>", summary: "write to this file (default: standard output)" },
    { flags: "--service <name>", summary: "only packets of this service" },
    { flags: "--instance <number>", summary: "only packets of this instance of the service", isCount: true },
    { flags: "--address <address>", summary: "only packets from or to this address" },
    { flags: "--protocol <protocol>", summary: "only this one: tcp, udp, icmp, or a number" },
    { flags: "--port <port>", summary: "only packets from or to this port", isCount: true },
    { flags: "--dropped", summary: "only packets that are dropped" },
    { flags: "--snap-length <bytes>", summary: "at most so many bytes of each packet", isCount: true },
    { flags: "--count <number>", summary: "end after so many packets", isCount: true },
    { flags: "--duration <time>", summary: "end after this time, 30s or 5m say" },
    { flags: "--size <size>", summary: "end before the file is larger, 64KiB or 16MiB say" },
    SOCKET_OPTION,
  ],
  examples: [
    { line: "capture | wireshark -k -i -", does: "watch the packets as they pass" },
    { line: "capture --dropped --duration 10s -w dropped.pcapng", does: "what is dropped, and why" },
    { line: "capture --service web --snap-length 128 | tshark -r -", does: "headers of one service's packets" },
  ],
  async run(input) {
    const [{ saveCapture }, { firstEnding }] = await Promise.all([import("./save-capture.ts"), import("./ending.ts")]);
    const path = `/v1/capture?${await query(input)}`;
    await saveCapture({ socket: input.text("socket"), path, file: input.optionalText("write"), ending: firstEnding() });
  },
};

async function query(input: CommandInput): Promise<URLSearchParams> {
  const [{ parseDuration }, { parseByteSize }, { SapwoodError }] = await Promise.all([
    import("../base/duration.ts"),
    import("../base/byte-size.ts"),
    import("../base/errors.ts"),
  ]);
  const measured = (
    name: string,
    parse: (text: string) => number | undefined,
    expected: string,
  ): number | undefined => {
    const text = input.optionalText(name);
    const value = text === undefined ? undefined : parse(text);
    if (value !== undefined || text === undefined) return value;
    throw new SapwoodError("usage", `--${name} must be ${expected}; found "${text}".`);
  };
  const parameters = {
    service: input.optionalText("service"),
    instance: input.count("instance"),
    address: input.optionalText("address"),
    protocol: input.optionalText("protocol"),
    port: input.count("port"),
    dropped: input.flag("dropped") || undefined,
    snapLength: input.count("snapLength"),
    count: input.count("count"),
    durationMs: measured("duration", parseDuration, "a duration like 500ms, 30s or 5m"),
    sizeBytes: measured("size", parseByteSize, "a size like 64KiB or 16MiB"),
  };
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]));
}
