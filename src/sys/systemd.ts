// What systemd is about to do with the unit of this process.

import { runTool, type Tool } from "./tool.ts";

const SYSTEMCTL: Tool = { program: "systemctl", package: "systemd" };
/** Kinds of jobs that stop a unit in order to start it (systemd.unit manager, `systemctl list-jobs`). */
const RESTARTS = ["restart", "try-restart"];

/** Whether the unit is stopped in order to be started again; also when systemd, which started this process, does not say. */
export async function isBeingRestarted(unit: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  if (env.INVOCATION_ID === undefined) return false; // systemd.exec(5): set by systemd alone
  try {
    const jobs = await runTool(SYSTEMCTL, ["list-jobs", "--no-legend", "--full"], "", () => "list-jobs");
    return jobs.split("\n").some((line) => {
      const [, name, kind = ""] = line.trim().split(/ +/);
      return name === unit && RESTARTS.includes(kind);
    });
  } catch {
    return true;
  }
}
