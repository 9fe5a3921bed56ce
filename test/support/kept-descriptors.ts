// A proxy of a lab under a program that stands for systemd (test/e2e/in-node/service-manager.mjs): the program keeps the
// proxy's descriptors and starts the proxy again when it is killed.
import { sourceFile } from "../../src/lab/build-paths.ts";
import { configFile, controlSocket, type Lab, WITH_PROXY_RIGHTS } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { StatusReport } from "../../src/model/reports.ts";

const PROGRAM = sourceFile("test/e2e/in-node/service-manager.mjs");

/** Starts the proxy of a node that has none, with the rights that systemd gives it. Resolves when its descriptors are kept. */
export async function startManaged(lab: Lab, node: string): Promise<SandboxProgram> {
  const run = lab.sapwoodCommand(["run", "--config", configFile(node), "--socket", controlSocket(node)]);
  const socket = `/run/sapwood/${node}/notify-${performance.now()}.sock`; // one for each such program
  const manager = lab.sandbox.start([...WITH_PROXY_RIGHTS, process.execPath, PROGRAM, socket, ...run], node);
  await manager.until("the proxy's descriptors", ({ stdout }) =>
    // Lines of the proxy may come between them.
    ["kept tun-0\n", "kept tunnel-0\n"].every((line) => stdout.includes(line)),
  );
  return manager;
}

/** Kills the proxy. Resolves when the next one is ready. */
export async function killManaged(lab: Lab, node: string, manager: SandboxProgram): Promise<void> {
  const { ready } = await beginKill(lab, node, manager);
  await ready;
}

/** Resolves when the proxy is killed; `ready` does when the next one is. */
export async function beginKill(
  lab: Lab,
  node: string,
  manager: SandboxProgram,
): Promise<{ readonly ready: Promise<unknown> }> {
  const starts = (): number => manager.stdout.split("sapwood ready").length;
  const before = starts();
  const { pid } = await lab.report<StatusReport>(node, "status");
  await lab.sandbox.expect(["kill", "-KILL", String(pid)], node);
  return { ready: manager.until("the next process to be ready", () => starts() > before) };
}
