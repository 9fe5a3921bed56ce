// First process of a sandbox (process 1 of its PID namespace): starts programs for the owner and passes on what they
// print. It ends when the owner's channel closes, for whatever reason, and the kernel then ends all that it started.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Report, SandboxOrder } from "./sandbox-protocol.ts";

const TUN_DEVICE = "/dev/net/tun";

const programs = new Map<number, ChildProcess>();

function report(message: Report): void {
  if (process.connected) process.send?.(message);
}

function refuse(code: Extract<Report, { kind: "refused" }>["code"], message: string): void {
  report({ kind: "refused", code, message });
}

/** A private /run, so that names of namespaces and sockets meet nobody else's; returns whether all is there. */
function prepare(): boolean {
  const steps = [
    ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
    ["ip", "link", "set", "lo", "up"],
  ] as const;
  for (const [command, ...args] of steps) {
    const done = spawnSync(command, args, { encoding: "utf8" });
    if (done.error !== undefined) {
      refuse(
        "missing-tool",
        `The lab needs the program \`${command}\` in the PATH, which could not be run: ${done.error.message}.`,
      );
      return false;
    }
    if (done.status !== 0) {
      refuse("missing-rights", `The lab could not run \`${command} ${args.join(" ")}\`: ${done.stderr.trim()}.`);
      return false;
    }
  }
  try {
    closeSync(openSync(TUN_DEVICE, "r+"));
  } catch (error) {
    refuse("tun-unavailable", sentenceForTun((error as NodeJS.ErrnoException).code ?? String(error)));
    return false;
  }
  return true;
}

function sentenceForTun(code: string): string {
  if (code === "ENOENT" || code === "ENODEV" || code === "ENXIO") {
    return `The lab needs ${TUN_DEVICE}, which does not exist here (${code}): load the kernel module with \`modprobe tun\`, or give the container this device.`;
  }
  return `The lab needs ${TUN_DEVICE} readable and writable for this user, and opening it failed with ${code}: run as root, or allow it with \`chmod 0666 ${TUN_DEVICE}\`.`;
}

function start(id: number, argv: readonly string[]): void {
  const [command = "", ...args] = argv;
  const program = spawn(command, args, { stdio: "pipe" });
  programs.set(id, program);
  for (const stream of ["stdout", "stderr"] as const) {
    program[stream].setEncoding("utf8").on("data", (text: string) => report({ kind: "output", id, stream, text }));
  }
  program.stdin.on("error", () => {}); // it ended before it had read all; its exit says so
  program.once("error", (error) => report({ kind: "output", id, stream: "stderr", text: `${error.message}\n` }));
  program.once("close", (code, signal) => {
    programs.delete(id);
    report({ kind: "ended", id, code, signal });
  });
}

process.on("disconnect", () => process.exit(0));
process.on("message", (order: SandboxOrder) => {
  switch (order.kind) {
    case "start":
      return start(order.id, order.argv);
    case "input": {
      const stdin = programs.get(order.id)?.stdin;
      return void (order.isLast ? stdin?.end(order.text) : stdin?.write(order.text));
    }
    case "signal":
      return void programs.get(order.id)?.kill(order.signal);
    case "write":
      mkdirSync(dirname(order.path), { recursive: true });
      return writeFileSync(order.path, order.text, { mode: order.mode });
  }
});

// /proc is still the host's, so its "self" is this process as the host numbers it.
if (prepare()) report({ kind: "ready", hostPid: Number(readlinkSync("/proc/self")) });
