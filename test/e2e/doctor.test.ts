// `sapwood doctor`, `ping` and `top` in a lab. The doctor: all is well at first, with the proxy and without; then one thing after the other is broken
// for real, and each is told with what to type. Each step mends what it broke, and the doctor says so.

import { expect, test } from "vitest";
import type { DoctorReport } from "../../src/doctor/finding.ts";
import { configFile, controlSocket, eventually } from "../../src/lab/lab.ts";
import { DEMO } from "../../src/lab/topology.ts";
import type { TrafficReport } from "../../src/model/reports.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";

const NODE = "node-a";
const ME = ["--socket", controlSocket(NODE)];
const OTHER_USER = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];

describeLab(
  "doctor, ping and top",
  () => {
    const lab = useLab(() => openLab(DEMO));

    /** What it found that is not well, as lines. */
    async function complaints(...args: string[]): Promise<{ readonly code: number | null; readonly found: string[] }> {
      const program = lab().startSapwood(NODE, ["doctor", "--json", ...ME, ...args]);
      const { code, stdout, stderr } = await program.ended;
      expect(stdout, stderr).not.toBe("");
      const { findings, ok } = JSON.parse(stdout) as DoctorReport;
      expect(code === 0).toBe(ok);
      return {
        code,
        found: findings
          .filter(({ state }) => state !== "ok")
          .map((one) => `${one.check}: ${one.message} -> ${one.advice}`),
      };
    }

    async function allIsWell(...args: string[]): Promise<void> {
      let last: unknown;
      await eventually("the doctor to find nothing", async () => {
        last = await complaints(...args);
        return JSON.stringify(last) === JSON.stringify({ code: 0, found: [] });
      }).catch((error: unknown) => expect.unreachable(`${String(error)} ${JSON.stringify(last)}`));
    }

    /** Types what the doctor said, in the broken state, and sees that it helps. */
    async function cured(how: readonly string[], mend: readonly string[], expected: RegExp): Promise<void> {
      await lab().sandbox.expect(how, NODE);
      try {
        const { found } = await complaints();
        const line = found.find((one) => expected.test(one)) ?? "";
        expect(line, found.join("\n")).toMatch(expected);
        // A machine that is busy enough keeps a peer from answering in time. And the proxy may have found first, and
        // told as a problem with its TUN, what the doctor finds.
        for (const one of found.filter((each) => !/^(peers|tun):/.test(each) || expected.test(each))) {
          await lab().sandbox.expect(["sh", "-c", one.split(" -> ")[1] ?? ""], NODE);
        }
        await allIsWell();
      } finally {
        await lab().sandbox.expect(mend, NODE);
      }
    }

    test("says that all is well", async () => {
      await allIsWell();
      const { code, stdout } = await lab().sapwood(NODE, ["doctor"]);
      expect(code, stdout).toBe(0);
      expect(stdout).toMatch(/^ok {5}proxy +process \d+ runs node-a/m);
      expect(stdout).toMatch(/^ok {5}peers +node-b answers in [\d.]+ ms, path MTU not met$/m);
      for (const check of [
        "config",
        "rights",
        "tun",
        "kernel",
        "mtu",
        "forwarding",
        "rp_filter",
        "firewall",
        "port",
        "clock",
      ]) {
        expect(stdout).toMatch(new RegExp(`^ok +${check} `, "m"));
      }
    });

    test("finds a firewall of nftables that drops what is forwarded, and what it says helps", async () => {
      const table =
        "table inet strict { chain forward { type filter hook forward priority filter; policy drop; ct state established accept; }; }";
      await cured(
        ["nft", table],
        ["nft", "delete table inet strict"],
        /^firewall: the policy of chain forward of nft's table inet strict drops packets of workloads at br0 into sapwood0/,
      );
    });

    test("finds a firewall of iptables that drops what is forwarded, and what it says helps", async () => {
      await cured(
        ["iptables", "-P", "FORWARD", "DROP"],
        ["sh", "-c", "iptables -P FORWARD ACCEPT; iptables -F FORWARD"],
        /^firewall: the policy of chain FORWARD of iptables's table ip filter drops packets of workloads/,
      );
    });

    test("finds a rule that drops the tunnel, however it says so", async () => {
      const table = `table inet strict { set ports { type inet_service; flags interval; elements = { 50000-50200 }; };
        chain guard { udp dport @ports reject; };
        chain input { type filter hook input priority filter; policy accept; meta l4proto udp jump guard; }; }`;
      await cured(
        ["nft", table],
        ["nft", "delete table inet strict"],
        /^firewall: a rule of chain input .* drops datagrams of other nodes to UDP port 50103/,
      );
      await cured(
        ["sh", "-c", "iptables -A INPUT -p udp -m multiport --dports 53,50100:50110 -j DROP"],
        ["iptables", "-F", "INPUT"],
        /^firewall: a rule of chain INPUT of iptables's .* drops datagrams of other nodes/,
      );
    });

    test("finds a strict check of reverse paths", async () => {
      await cured(
        ["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1"],
        ["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0"],
        /^rp_filter: sapwood0 drops/,
      );
    });

    test("finds an underlay that is too narrow for the TUN", async () => {
      await cured(
        ["ip", "link", "set", "dev", "eth0", "mtu", "1400"],
        ["ip", "link", "set", "dev", "eth0", "mtu", "1500"],
        /^mtu: packets of 1450 bytes in sapwood0 take 1478 on eth0, which takes 1400/,
      );
    });

    test("finds forwarding that somebody switched off", async () => {
      await cured(
        ["sysctl", "-qw", "net.ipv4.ip_forward=0"],
        ["sysctl", "-qw", "net.ipv4.ip_forward=1"],
        /^forwarding: net\/ipv4\/ip_forward must be 1, found 0/,
      );
    });

    test("ping measures a node, an instance, and what a service address leads to", async () => {
      const ping = async (to: string) => {
        const { code, stdout, stderr } = await lab().sapwood(NODE, ["ping", to, "-c", "2", "-i", "0.1", "--json"]);
        expect(code, stderr).toBe(0);
        return JSON.parse(stdout);
      };
      const whole = { sent: 2, rttMs: { min: expect.any(Number) } };
      expect(await ping("node-b")).toMatchObject({ ...whole, node: "node-b", service: null });
      expect(await ping("192.0.2.13")).toMatchObject({ ...whole, node: "node-c" });
      expect(await ping("fdff::5")).toMatchObject({ ...whole, node: "node-d", service: "B", instance: 3 });
      expect(await ping("10.30.0.2")).toMatchObject({ ...whole, service: "B", instance: expect.any(Number) });
      expect(await ping("10.30.1.5")).toMatchObject({ node: NODE, service: "A", instance: 1, isLocal: true });
      for (const [to, message] of [
        ["node-x", /^sapwood: There is no node "node-x", and it is no address; there are node-a, node-b, /],
        ["10.30.77.77", /^sapwood: No node, service or instance has the address 10\.30\.77\.77\.$/m],
      ] as const) {
        const { code, stderr } = await lab().sapwood(NODE, ["ping", to]);
        expect(stderr).toMatch(message);
        expect(code).toBe(1);
      }
    });

    test("top shows who has the traffic, and gives the terminal back", async () => {
      const load = lab().startClient("a1", {
        ...{ kind: "load", addresses: [], held: Array<string>(8).fill("10.30.0.2"), pauseMs: 20 },
      });
      await eventually("the flows to be seen", async () => {
        const { code, stdout, stderr } = await lab().sapwood(NODE, ["top", "--json", "-n", "1", "-i", "200ms"]);
        expect(code, stderr).toBe(0);
        const { rowCount, rows } = JSON.parse(stdout) as TrafficReport;
        const [row] = rows;
        return rowCount === 2 && row?.service === "B" && row.flows === 8 && (row.outPerSecond ?? 0) > 0;
      });
      const command = lab()
        .sapwoodCommand(["top", "-i", "100ms", ...ME])
        .join(" ");
      for (const leave of ["q", "\u0003"]) {
        const terminal = lab().sandbox.start(
          ["script", "-qec", `stty rows 12 cols 60; ${command}; stty -a`, "/dev/null"],
          NODE,
        );
        await terminal.until("the table", ({ stdout }) => /^B +3 +8 /m.test(stdout));
        terminal.write(leave);
        const { code, stdout } = await terminal.ended;
        expect(code).toBe(0);
        const [, after = ""] = stdout.split("\u001b[?25h\u001b[?1049l"); // the cursor and the screen before
        expect(after).toMatch(/ icanon .* echo /s);
      }
      await load.stop();
    });

    test("doctor and ping find a peer that is dead", async () => {
      lab().proxy("node-d").kill("SIGKILL");
      await lab().proxy("node-d").ended;
      await eventually("the peer to be lost", async () =>
        /node-d does not answer/.test((await complaints()).found.join("\n")),
      );
      const { code, stdout, stderr } = await lab().sapwood(NODE, ["ping", "node-d", "-c", "1"]);
      expect(stdout).toMatch(/^node-d does not answer \(lost\)\n1 sent, 0 answered, 100 % lost$/m);
      expect(stderr).toContain("node-d answered none of 1");
      expect(code).toBe(1);
      await lab().startProxy("node-d");
      await allIsWell();
    });

    test("without rights says so", async () => {
      const { code, stdout } = await lab().sandbox.run(
        [...OTHER_USER, ...lab().sapwoodCommand(["doctor", ...ME])],
        NODE,
      );
      expect(code).toBe(1);
      expect(stdout).toMatch(/^WRONG +rights +this user lacks CAP_NET_ADMIN.*\n +type: sudo sapwood doctor$/m);
      expect(stdout).toMatch(/^\? +proxy +The control socket .* may not be used by this user/m);
    });

    test("without a proxy it reads the configuration, and finds a port that is taken", async () => {
      const config = ["--config", configFile(NODE)];
      expect((await lab().proxy(NODE).stop()).code).toBe(0);
      await allIsWell(...config);
      const { stdout } = await lab().sapwood(NODE, ["doctor", ...config]);
      expect(stdout).toMatch(/^ok +peers +node-d answers in [\d.]+ ms$/m);
      const holder = lab().sandbox.start(["socat", "-u", "UDP-RECV:50103,bind=192.0.2.11", "STDOUT"], NODE);
      await eventually("the port to be taken", async () => (await complaints(...config)).code === 1);
      const { found } = await complaints(...config);
      expect(found.join("\n")).toMatch(/^port: UDP port 50103 is taken by process \d+ \(socat\) -> kill \d+/m);
      await holder.stop();
      const text = await complaints("--config", "/run/sapwood/none.yaml");
      expect(text.found.join("\n")).toMatch(/^config: .*none\.yaml.* -> sapwood check \/run\/sapwood\/none\.yaml/m);
      await lab().startProxy(NODE);
    });
  },
  "nft",
  "iptables",
  "socat",
  "script",
);
