// The platform's five requests, by the command that users run: as root, as an ordinary user, over an IPv6 underlay;
// and that it leaves nothing behind, however it ends.
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { playRequests, type RequestOutcome } from "../../src/lab/demo.ts";
import { eventually } from "../../src/lab/lab.ts";
import { DEMO } from "../../src/lab/topology.ts";
import { expectNothingLeft, hostNetwork, processesMarked } from "../support/ended-lab.ts";
import { describeLab, openLab, sapwoodCommand, spawnProgram } from "../support/lab.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const isRoot = process.geteuid?.() === 0;

/** What the documentation's figure and table say, request by request. */
function expectFiveRequests(requests: readonly Partial<RequestOutcome>[]): void {
  const hosts: Record<string, { node: string; v4: string; v6: string }> = {
    "B 1": { node: "node-b", v4: "10.18.3.1", v6: "fc00::18:3:1" },
    "B 2": { node: "node-c", v4: "10.21.3.2", v6: "fc00::21:3:2" },
    "B 3": { node: "node-d", v4: "10.41.3.7", v6: "fc00::41:3:7" },
  };
  const expected = [
    { address: "fdff:1000::1", policy: "closest", instance: "B 1" },
    { address: "fdff:2000::1", policy: "round-robin" },
    { address: "fdff:2000::1", policy: "round-robin" },
    { address: "fdff::5", policy: "instance", instance: "B 3" },
    { address: "10.30.0.2", policy: "round-robin" },
    { address: "10.30.0.1", policy: "closest", instance: "B 1" },
  ];
  expect(requests).toHaveLength(expected.length);
  for (const [index, wanted] of expected.entries()) {
    const found = requests[index];
    const isV6 = wanted.address.includes(":");
    const host = hosts[found?.instance ?? ""];
    expect(found).toMatchObject({
      ...wanted,
      node: host?.node,
      inner: { src: isV6 ? "fdff::105" : "10.30.1.5", dst: isV6 ? host?.v6 : host?.v4 },
      answeredFrom: wanted.address,
      ok: true,
    });
  }
  expect(requests[2]?.instance).not.toBe(requests[1]?.instance);
}

describeLab("the five requests", () => {
  test("sapwood lab --json plays them, prints one object and exits with 0", async () => {
    const lab = spawnProgram(sapwoodCommand("lab", "--json"));
    expect(await lab.ended, lab.output.stderr + lab.output.stdout).toBe(0);
    expect(lab.output.stdout.trim().split("\n")).toHaveLength(1);
    const report = JSON.parse(lab.output.stdout);
    expect(Object.keys(report)).toEqual(["ok", "requests"]);
    expect(report.ok).toBe(true);
    expectFiveRequests(report.requests);
  });

  test("they do the same over an IPv6 underlay", async () => {
    const lab = await openLab({ ...DEMO, underlayFamily: "v6" });
    try {
      expectFiveRequests(await playRequests(lab));
    } finally {
      await lab.close();
    }
  });

  const refusal = isRoot ? unprivilegedRefusal() : undefined;
  test.skipIf(refusal !== undefined)(
    `they do the same for an ordinary user${refusal === undefined ? "" : ` (skipped: ${refusal})`}`,
    async () => {
      // Not root: the test above was it already, and this one repeats it.
      const argv = isRoot ? asOrdinaryUser("lab", "--json") : sapwoodCommand("lab", "--json");
      const lab = spawnProgram(argv);
      expect(await lab.ended, lab.output.stderr + lab.output.stdout).toBe(0);
      expectFiveRequests(JSON.parse(lab.output.stdout).requests);
    },
  );
});

describeLab("what the lab leaves behind", () => {
  test("--keep leaves it up, its entry lines work, and Ctrl-C removes it", async () => {
    const before = hostNetwork();
    const mark = { SAPWOOD_TEST_MARK: randomUUID() };
    const lab = spawnProgram(sapwoodCommand("lab", "--keep"), { ...process.env, ...mark });
    await Promise.race([
      eventually("the lab to be up", async () => lab.output.stdout.includes("Ctrl-C"), 60_000),
      lab.ended.then((code) => Promise.reject(new Error(`It ended with ${code}: ${lab.output.stderr}`))),
    ]);
    const enter = (name: string) => new RegExp(`^ {2}(nsenter .*/enter ${name})$`, "m").exec(lab.output.stdout)?.[1];
    for (const [line, expected] of [
      [`${enter("a1")} ip -json address show dev eth0`, '"10.101.3.23"'],
      [`${enter("node-a")} sapwood flows`, "fdff:2000::1"],
      [`${enter("b1")} sapwood status`, "node-b"],
      [`echo exit | ${enter("node-c")} 2>&1`, "node-c (node) / # "],
      [`echo exit | ${enter("b3")} 2>&1`, "b3 (B 3, workload on node-d) / # "],
      [`${enter("a1")}x 2>&1`, 'found "a1x"'],
    ] as const) {
      const { stdout, stderr } = spawnSync("sh", ["-c", line], { encoding: "utf8", cwd: "/" });
      expect(stdout, stderr).toContain(expected);
    }
    lab.child.kill("SIGINT");
    await lab.ended;
    expect(processesMarked(mark)).toEqual([]);
    expect(hostNetwork()).toEqual(before);
  });

  // In the middle of starting its servers and its proxies. At more moments: test/long/ended-lab.test.ts.
  test.for([
    ["SIGINT", 5],
    ["SIGKILL", 8],
  ] as const)("%s at its process number %i leaves no process and no change of the host's network", ([signal, count]) =>
    expectNothingLeft(signal, count),
  );
});

describe("a machine that cannot run the lab", () => {
  test.skipIf(!isRoot)("says in one sentence that /dev/net/tun is missing", async () => {
    const hidden = spawnProgram([
      "unshare",
      "--mount",
      "sh",
      "-c",
      'mount -t tmpfs tmpfs /dev/net; exec "$@"',
      "sh",
      ...sapwoodCommand("lab"),
    ]);
    expect(await hidden.ended).toBe(1);
    expect(hidden.output.stderr).toMatch(/^sapwood: [^\n]*\/dev\/net\/tun[^\n]*modprobe tun[^\n]*\.\n$/);
  });

  test("says in one sentence that unshare is missing", async () => {
    const without = spawnProgram(sapwoodCommand("lab"), { ...process.env, PATH: "/nonexistent" });
    expect(await without.ended).toBe(1);
    expect(without.output.stderr).toMatch(/^sapwood: [^\n]*`unshare` \(package util-linux\)[^\n]*\.\n$/);
  });
});

/**
 * `sapwood ARGS` as user 65534, with a TUN device that everybody may open. The folder over /dev/net also shows that
 * user the package and node, wherever they lie.
 */
function asOrdinaryUser(...args: string[]): string[] {
  const script = [
    "mount -t tmpfs -o mode=755 tmpfs /dev/net",
    "mknod -m 666 /dev/net/tun c 10 200",
    "mkdir /dev/net/package",
    'mount --bind "$1" /dev/net/package',
    "touch /dev/net/node",
    'mount --bind "$2" /dev/net/node',
    "shift 2",
    'exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"',
  ].join(" && ");
  const main = relative(ROOT, sapwoodCommand()[1] ?? "");
  const command = ["/dev/net/node", `/dev/net/package/${main}`, ...args];
  return ["unshare", "--mount", "sh", "-c", script, "sh", ROOT, process.execPath, ...command];
}

/** Why an ordinary user could not make namespaces here, or undefined. */
function unprivilegedRefusal(): string | undefined {
  const args = [
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--mount",
  ];
  const { status, stderr, error } = spawnSync("setpriv", [...args, "mount", "-t", "tmpfs", "tmpfs", "/run"], {
    encoding: "utf8",
  });
  return status === 0 ? undefined : (error?.message ?? stderr).trim();
}
