// `sapwood capture` in a running lab, judged by tshark: what passes is there, at both interfaces, with what happened to it;
// whoever captures, however badly, disturbs nobody. Each test ends its captures.
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { builtModulePath } from "../../src/dataplane/modules/wasm.ts";
import { configFile, controlSocket, eventually, type Lab } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { DEMO } from "../../src/lab/topology.ts";
import type { CallResult, SendResult } from "../../src/lab/workload-protocol.ts";
import type { ReplayReport } from "../../src/model/replay-report.ts";
import type { CountersReport } from "../../src/model/reports.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { assemble, policyText } from "../support/wat.ts";

const DISSECTOR = fileURLToPath(new URL("../../contrib/wireshark/sapwood.lua", import.meta.url));
/** What the README's lab asks for. */
const FIVE = ["fdff:1000::1", "fdff:2000::1", "fdff::5", "10.30.0.2", "10.30.0.1"];
const NOWHERE = "10.30.99.99";
const STATISTICS_BLOCK = 5;
/**
 * A policy that always chooses the candidate at `place`, or the last one, whatever that is worth. Counts are kept before
 * the records.
 */
const always = (place: number): string =>
  policyText({
    update: `(func (export "update") (param $service i32) (param $count i32) (result i32)
      (i32.store (i32.shl (i32.and (local.get $service) (i32.const 127)) (i32.const 2)) (local.get $count))
      (i32.const 0))`,
    choose: `(func (export "choose") (param $service i32) (param i32 i32) (result i32) (local $last i32)
      (local.set $last (i32.sub
        (i32.load (i32.shl (i32.and (local.get $service) (i32.const 127)) (i32.const 2)))
        (i32.const 1)))
      (select (local.get $last) (i32.const ${place}) (i32.lt_s (local.get $last) (i32.const ${place}))))`,
  });
const TRANSFER_BYTES = 2 ** 26;

describeLab("captures", () => {
  const lab = useLab(() => openLab(DEMO));
  let captures = 0;

  /** A capture that has begun: its file has a section and two interfaces. */
  const start = (...options: readonly string[]): ReturnType<typeof startOn> => startOn("node-a", ...options);

  async function startOn(
    node: string,
    ...options: readonly string[]
  ): Promise<{ program: SandboxProgram; file: string }> {
    const file = `/run/capture-${++captures}.pcapng`;
    const program = lab().startSapwood(node, ["capture", ...options, "-w", file, "--socket", controlSocket(node)]);
    await eventually(`${file} to begin`, async () => (await lab().sandbox.run(["test", "-s", file])).code === 0);
    return { program, file };
  }

  /** The events of node-b, which has a capture already. */
  async function followEvents(): Promise<SandboxProgram> {
    const program = lab().startSapwood("node-b", ["events", "--follow", "--socket", controlSocket("node-b")]);
    const connected = ["ss", "-Hx", "state", "connected", "src", controlSocket("node-b")];
    await eventually("the capture and the events to be asked for", async () => {
      return (await lab().sandbox.expect(connected, "node-b")).trim().split("\n").length >= 2;
    });
    return program;
  }

  async function ended(program: SandboxProgram, signal?: NodeJS.Signals): Promise<void> {
    if (signal !== undefined) program.kill(signal);
    const { code, stderr } = await program.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  }

  /** Until a capture's file has a packet that the filter takes. */
  async function untilCaptured(file: string, filter: string): Promise<void> {
    await eventually(
      `"${filter}" in ${file}`,
      async () => (await tshark(lab(), file, ["frame.number"], filter)).length > 0,
    );
  }

  async function callAll(): Promise<string[]> {
    const calls = FIVE.map((address) => ({ protocol: "http", address }) as const);
    const results = await lab().ask<CallResult[]>("a1", { kind: "together", calls, rounds: 1 });
    return results.flatMap(({ instances }) => instances);
  }

  test("show each request and each answer at both interfaces, with service and instance", async () => {
    const { program, file } = await start();
    const answered = await callAll();
    for (const address of FIVE) await untilCaptured(file, `tcp.srcport == 80 && tcp.len > 0 && ${sourceIs(address)}`);
    await ended(program, "SIGINT");
    const requests = await tshark(
      lab(),
      file,
      ["ipv6.dst", "ip.dst", "frame.comment"],
      'tcp.dstport == 80 && tcp.len > 0 && frame.interface_name == "tun"',
    );
    expect(new Set(requests)).toEqual(
      new Set(FIVE.map((address, i) => shown(address, `verdict=sent; service=B; instance=${answered[i]?.slice(2)}`))),
    );
    const answers = await tshark(
      lab(),
      file,
      ["ipv6.src", "ip.src", "frame.comment"],
      'tcp.srcport == 80 && tcp.len > 0 && frame.interface_name == "tun"',
    );
    expect(new Set(answers)).toEqual(
      new Set(
        FIVE.map((address, i) => shown(address, `verdict=delivered; service=B; instance=${answered[i]?.slice(2)}`)),
      ),
    );
    const inside = await tshark(
      lab(),
      file,
      ["udp.dstport", "frame.comment"],
      'tcp.port == 80 && tcp.len > 0 && frame.interface_name == "tunnel"',
    );
    expect(inside.length).toBeGreaterThanOrEqual(2 * FIVE.length); // TCP may send one again
    const comment = /^50103\tverdict=(sent|delivered); service=B; instance=[123]$/;
    expect(inside.filter((line) => !comment.test(line))).toEqual([]);
  });

  test("are replayed with the recorded verdicts and choices by measured times, and another policy fares otherwise", async () => {
    const { program, file } = await start();
    await eventually("answers of all three nodes to probes", async () => {
      const answers = 'sapwood.probe.type == 2 && frame.comment == "verdict=taken"';
      return new Set(await tshark(lab(), file, ["ip.src", "ipv6.src"], answers)).size === 3;
    });
    const answered = [...(await callAll()), ...(await callAll())];
    await lab().sandbox.run(["ping", "-c", "1", "-W", "1", NOWHERE], "a1");
    await untilCaptured(file, "icmp.type == 3");
    await ended(program, "SIGINT");
    const replay = async (...options: readonly string[]): Promise<{ code: number | null; report: ReplayReport }> => {
      const args = ["replay", file, "--config", configFile("node-a"), "--json", ...options];
      const { code, stdout } = await lab().sandbox.run(lab().sapwoodCommand(args), "node-a");
      return { code, report: JSON.parse(stdout) };
    };
    const { code, report } = await replay();
    expect(report.recorded).toMatchObject({ different: 0, untold: 0, first: [] });
    expect(code).toBe(0);
    const dropped = { interface: "tun", verdict: "dropped", reason: "unknownAddress", packets: 1 };
    expect(report.sides[0]?.verdicts).toContainEqual(dropped);
    const recorded = await tshark(
      lab(),
      file,
      ["frame.number"],
      'frame.comment matches "^verdict=(sent|delivered|taken|dropped)"',
    );
    expect(report.packets).toBe(recorded.length);
    expect(report.replayed).toBe(report.packets - report.notReplayed.outbound - report.notReplayed.answers);
    // The two addresses of "closest" lead as they did; the turns of the others begin anywhere.
    const flowsOf = (number: number): number =>
      report.sides[0]?.choices.find(({ service, instance }) => service === "B" && instance === number)?.flows ?? 0;
    const closest = answered.filter((_, call) => [0, 4].includes(call % FIVE.length));
    for (const number of [1, 2, 3]) {
      expect(flowsOf(number)).toBeGreaterThanOrEqual(closest.filter((name) => name === `B ${number}`).length);
    }
    expect([1, 2, 3].map(flowsOf).reduce((sum, flows) => sum + flows, 0)).toBe(2 * FIVE.length);

    const wanted = closest[0] === "B 3" ? 1 : 3; // not what was chosen: a busy node need not be the closest
    writeFileSync(lab().sandbox.pathFromOutside("/run/other.wasm"), assemble(always(wanted - 1)));
    const other = await replay("--policy", "closest=/run/other.wasm");
    expect(other.report.recorded).toEqual(report.recorded);
    const same = await replay("--policy", `closest=${builtModulePath("policies/closest")}`);
    expect({ code: same.code, differences: same.report.differences }).toEqual({
      code: 0,
      differences: { packets: 0, first: [] },
    });
    expect(other.code).toBe(1);
    const [first] = other.report.differences?.first ?? [];
    expect(first).toMatchObject({ interface: "tun", what: ["instance", "bytes"] });
    expect(closest.map((name) => `verdict=sent; service=B; instance=${name.slice(2)}`)).toContain(
      first?.results[0].said,
    );
    expect(first?.results[1].said).toBe(`verdict=sent; service=B; instance=${wanted}`);
  });

  test("show probes, which the dissector knows", async () => {
    const { program, file } = await start("--count", "40");
    await ended(program);
    const lines = await tshark(
      lab(),
      file,
      ["sapwood.probe.type", "sapwood.probe.version", "frame.comment"],
      "sapwood",
    );
    expect(new Set(lines)).toEqual(
      new Set(["1\t1\tverdict=sent", "1\t1\tverdict=taken", "2\t1\tverdict=sent", "2\t1\tverdict=taken"]),
    );
    expect(await tshark(lab(), file, ["frame.number"], "_ws.malformed || _ws.expert.severity == error")).toEqual([]);
  });

  test("show what their filters say, several at once", async () => {
    const [dropped, instance, address, port] = await Promise.all([
      start("--dropped"),
      start("--service", "B", "--instance", "3"),
      start("--address", "fdff::5", "--snap-length", "80"),
      start("--protocol", "icmp", "--address", NOWHERE),
    ]);
    await callAll();
    await untilCaptured(instance.file, "tcp.srcport == 80 && tcp.len > 0");
    await lab().sandbox.run(["ping", "-c", "1", "-W", "1", NOWHERE], "a1");
    await untilCaptured(port.file, "icmp.type == 3");
    await untilCaptured(dropped.file, `icmp && ip.dst == ${NOWHERE}`);
    for (const { program } of [dropped, instance, address, port]) await ended(program, "SIGINT");
    const comments = async ({ file }: { file: string }, filter = "frame"): Promise<Set<string>> =>
      new Set(await tshark(lab(), file, ["frame.comment"], filter));
    expect([...(await comments(dropped, "icmp.type == 8"))]).toEqual(["verdict=dropped; reason=unknownAddress"]);
    expect([...(await comments(dropped))].filter((comment) => !comment.startsWith("verdict=dropped"))).toEqual([]);
    expect(await comments(instance)).toEqual(
      new Set(["verdict=sent; service=B; instance=3", "verdict=delivered; service=B; instance=3"]),
    );
    expect(await tshark(lab(), address.file, ["frame.number"], "!(ipv6.addr == fdff::5)")).toEqual([]);
    expect(await tshark(lab(), address.file, ["frame.number"], "frame.cap_len > 80")).toEqual([]);
    expect(await tshark(lab(), address.file, ["frame.number"], "frame.len > 80")).not.toEqual([]);
    expect(await tshark(lab(), port.file, ["icmp.type"], "frame")).toEqual(["8", "3,8"]);
  });

  test.for([
    [["--service", "nothing"], 1, 'There is no service "nothing"; there are A, B.'],
    [["--service", "B", "--instance", "9"], 1, 'Service "B" has no instance 9; it has 1, 2, 3.'],
    [["--instance", "1"], 2, '"instance" must be one of a "service"'],
    [["--protocol", "tpc"], 2, '"protocol" must be tcp, udp, icmp or a protocol number'],
    [["--address", "10.30.0"], 2, '"address" must be an IPv4 or IPv6 address; found "10.30.0"'],
    [["--port", "70000"], 2, '"port" must be a whole number from 0 to 65535'],
    [["--duration", "1 day"], 2, "--duration must be a duration"],
    [["--colour", "red"], 2, "--colour"],
  ] as const)("%j is refused", async ([options, code, message]) => {
    const ended = await lab().sapwood("node-a", ["capture", "-w", "/run/refused.pcapng", ...options]);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain(message);
  });

  test("end by count, size and time, and by a reader that leaves; each file is whole", async () => {
    const files = await Promise.all([start("--count", "7"), start("--size", "4KiB"), start("--duration", "300ms")]);
    for (const { program } of files) await ended(program);
    const [count, size] = files.map(({ file }) => file) as [string, string];
    expect(await tshark(lab(), count, ["frame.number"], "frame")).toHaveLength(7);
    expect(Number(await lab().sandbox.expect(["stat", "-c", "%s", size]))).toBeLessThanOrEqual(4096);
    for (const { file } of files) await expectWhole(lab(), file);
    const main = lab()
      .sapwoodCommand(["capture", "--socket", controlSocket("node-a")])
      .join(" ");
    const { stdout } = await lab().sandbox.run(["sh", "-c", `${main} | tshark -n -r - -c 5`], "node-a");
    expect(stdout.trim().split("\n")).toHaveLength(5);
  });

  test("disturb no transfer, even when one of them is never read", async () => {
    const before = await lab().report<CountersReport>("node-a", "counters");
    const { program, file } = await start("--snap-length", "64");
    const unread = await openUnread(lab(), "/v1/capture");
    const job = { kind: "send", address: "10.30.0.3", sizeBytes: TRANSFER_BYTES } as const;
    const { sent, received } = await lab().ask<SendResult>("a1", job);
    expect(received).toBe(sent);
    await ended(program, "SIGINT");
    unread();
    await expectWhole(lab(), file);
    const after = await lab().report<CountersReport>("node-a", "counters");
    const passed = (counters: CountersReport): number => counters.counters.egressPackets ?? 0;
    expect(passed(after) - passed(before)).toBeGreaterThan(TRANSFER_BYTES / 65_536);
    // test/long/capture.test.ts adds up what is in the file and what is counted.
    expect(
      await tshark(lab(), file, ["frame.len"], 'frame.interface_name == "tun" && ip.dst == 10.30.0.3'),
    ).not.toEqual([]);
    expect(await callAll()).toHaveLength(FIVE.length);
  });

  test("end with a proxy that stops, and events that are followed, too", async () => {
    const { program, file } = await startOn("node-b");
    const events = await followEvents();
    await untilCaptured(file, "sapwood");
    lab().proxy("node-b").kill("SIGTERM");
    await ended(program);
    const { code, stderr } = await events.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    await expectWhole(lab(), file);
    const bytes = readFileSync(lab().sandbox.pathFromOutside(file));
    const last = bytes.length - bytes.readUInt32LE(bytes.length - 4); // a block ends with its length
    expect(bytes.readUInt32LE(last)).toBe(STATISTICS_BLOCK);
    await lab().proxy("node-b").ended;
    await lab().startProxy("node-b");
  });

  test("say so when their proxy ends suddenly, and leave whole files", async () => {
    const { program, file } = await startOn("node-b");
    const events = await followEvents();
    await untilCaptured(file, "sapwood");
    lab().proxy("node-b").kill("SIGKILL");
    for (const follower of [program, events]) {
      const { code, stderr } = await follower.ended;
      expect(code).toBe(1);
      expect(stderr).toContain(`The proxy at ${controlSocket("node-b")} cut the answer off`);
    }
    await expectWhole(lab(), file);
    await lab().proxy("node-b").ended;
    await lab().startProxy("node-b");
  });
});

function shown(address: string, comment: string): string {
  return address.includes(":") ? `${address}\t\t${comment}` : `\t${address}\t${comment}`;
}

function sourceIs(address: string): string {
  return address.includes(":") ? `ipv6.src == ${address}` : `ip.src == ${address}`;
}

/** The fields of each packet that the filter takes, a line each. */
async function tshark({ sandbox }: Lab, file: string, fields: readonly string[], filter: string): Promise<string[]> {
  const options = [
    "-n",
    "-X",
    `lua_script:${DISSECTOR}`,
    "-r",
    file,
    "-T",
    "fields",
    ...fields.flatMap((name) => ["-e", name]),
  ];
  const stdout = await sandbox.expect(["tshark", ...options, "-Y", filter]);
  return stdout.split("\n").filter((line) => line !== "");
}

/** A file that was cut off somewhere is told so by tshark. */
async function expectWhole({ sandbox }: Lab, file: string): Promise<void> {
  const { code, stderr } = await sandbox.run(["tshark", "-n", "-r", file, "-Y", "frame.number == 1"]);
  expect(code, stderr).toBe(0);
  expect(stderr).not.toContain("cut short");
}

/** Asks for a stream of node-a and takes nothing of it; a function that gives it up. */
function openUnread({ sandbox }: Lab, path: string): Promise<() => void> {
  const socketPath = sandbox.pathFromOutside(controlSocket("node-a"));
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent: false }, (response) => {
      response.pause();
      resolve(() => void response.destroy());
    });
    asked.on("error", reject).end();
  });
}
