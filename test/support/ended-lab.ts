// What a lab leaves on the machine that it ran on when a signal ends it.
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import { eventually } from "../../src/lab/lab.ts";
import { sapwoodCommand, spawnProgram } from "./lab.ts";

const LOOK_MS = 5;

/** A lab that a signal ends when so many of its processes run leaves no process and no change of the host's network. */
export async function expectNothingLeft(signal: "SIGINT" | "SIGKILL", count: number): Promise<void> {
  const before = hostNetwork();
  const mark = { SAPWOOD_TEST_MARK: randomUUID() };
  const lab = spawnProgram(sapwoodCommand("lab", "--json"), { ...process.env, ...mark });
  const isOver = lab.ended.then(() => true);
  while (processesMarked(mark).length < count) {
    // On a machine that starts them one after another so many may never run at once; then it is over.
    if (await Promise.race([isOver, pause(LOOK_MS, false)])) break;
  }
  lab.child.kill(signal);
  await lab.ended;
  // After SIGKILL nobody waits for the kernel to end the others.
  await eventually("all processes of the lab to be gone", async () => processesMarked(mark).length === 0, 60_000);
  expect(hostNetwork()).toEqual(before);
}

/** Processes on this machine that were started with an environment variable. */
export function processesMarked(mark: Record<string, string>): string[] {
  const [[name, value] = ["", ""]] = Object.entries(mark);
  return readdirSync("/proc").filter((pid) => {
    if (!/^[0-9]+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/environ`, "utf8").includes(`${name}=${value}`);
    } catch {
      return false; // ended meanwhile, or not ours
    }
  });
}

/** What a lab could have changed outside its sandbox. */
export function hostNetwork(): unknown {
  const ip = (...args: string[]) => spawnSync("ip", args, { encoding: "utf8" }).stdout;
  return {
    namespace: readlinkSync("/proc/self/ns/net"),
    named: ip("netns", "list"),
    links: ip("-brief", "link", "show"),
    routes: [ip("-4", "route", "show"), ip("-6", "route", "show")],
    forwarding: ["ipv4/ip_forward", "ipv6/conf/all/forwarding"].map((name) =>
      readFileSync(`/proc/sys/net/${name}`, "utf8"),
    ),
  };
}
