// What the threads of a node's proxy took so far, as the kernel tells: proc(5), and
// Documentation/scheduler/sched-stats.rst.
import type { Sandbox } from "../src/lab/sandbox.ts";

interface ThreadCost {
  readonly cpuMs: number;
  /** Voluntary context switches: how often it slept, and so woke. */
  readonly sleeps: number;
}

/** By thread. */
export async function threadCosts(sandbox: Sandbox, node: string): Promise<ReadonlyMap<string, ThreadCost>> {
  const text = await ofProxy(sandbox, node, "grep -H . $p/task/*/schedstat; grep -H ^voluntary $p/task/*/status");
  const costs = new Map<string, ThreadCost>();
  for (const row of text.split("\n")) {
    const [, thread, file, figure] = /task\/(\d+)\/(\w+):(?:voluntary\D*)?(\d+)/.exec(row) ?? [];
    if (thread === undefined) continue;
    const { cpuMs, sleeps } = costs.get(thread) ?? { cpuMs: 0, sleeps: 0 };
    if (file === "status") costs.set(thread, { cpuMs, sleeps: Number(figure) });
    else costs.set(thread, { cpuMs: Number(figure) / 1e6, sleeps });
  }
  return costs;
}

/** What each thread took between two looks. */
export function costsBetween(
  before: ReadonlyMap<string, ThreadCost>,
  now: ReadonlyMap<string, ThreadCost>,
): ReadonlyMap<string, ThreadCost> {
  const entries = [...now].map(([thread, { cpuMs, sleeps }]) => {
    const then = before.get(thread);
    return [thread, { cpuMs: cpuMs - (then?.cpuMs ?? 0), sleeps: sleeps - (then?.sleeps ?? 0) }] as const;
  });
  return new Map(entries);
}

/** Resident memory of the proxy, MiB. */
export async function residentMiB(sandbox: Sandbox, node: string): Promise<number> {
  const text = await ofProxy(sandbox, node, "grep ^VmRSS $p/status");
  return Number(/\d+/.exec(text)?.[0]) / 1024;
}

/** Output of shell commands about the proxy's process, whose folder is $p. */
function ofProxy(sandbox: Sandbox, node: string, commands: string): Promise<string> {
  // Other labs may run on this machine: only what was started in this one counts.
  const script = `own=$(readlink /proc/self/ns/pid); for p in /proc/[0-9]*; do
    [ "$(readlink $p/ns/pid)" = "$own" ] || continue
    case "$(tr '\\0' ' ' < $p/cmdline)" in ${process.execPath}" "*"main.js run --config "*${node}*) ;; *) continue ;; esac
    ${commands}; done`;
  return sandbox.expect(["sh", "-c", script], node);
}
