// Whether a proxy runs, and whether it has taken its configuration.

import type { StatusReport } from "../../model/reports.ts";
import { type Finding, ok, wrong } from "../finding.ts";

interface ProxyFacts {
  readonly socket: string;
  /** Undefined: none answers. */
  readonly status: StatusReport | undefined;
  /** False: it runs in another network namespace than this command. */
  readonly isHere: boolean;
}

export function proxyFindings({ socket, status, isHere }: ProxyFacts): Finding[] {
  if (status === undefined) return [ok("proxy", `none runs at ${socket}: what it will need is looked at`)];
  const { pid, version, workers, node } = status;
  if (!isHere) {
    const message = `process ${pid} runs in another network namespace: what follows is not what it sees`;
    return [wrong("proxy", message, `nsenter --net=/proc/${pid}/ns/net sapwood doctor --socket ${socket}`)];
  }
  const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
  if (restarts === 0) return [ok("proxy", `process ${pid} runs ${node}, sapwood ${version}`)];
  return [wrong("proxy", `its workers were restarted ${restarts} times`, "sapwood events; journalctl --unit sapwood")];
}

interface ConfigFacts {
  /** Undefined: there is none to read. */
  readonly file: string | undefined;
  /** Why the file cannot be used, as sentences. */
  readonly problem: string | undefined;
  readonly status: StatusReport | undefined;
}

export function configFindings({ file, problem, status }: ConfigFacts): Finding[] {
  if (problem !== undefined) return [wrong("config", problem, `sapwood check${file === undefined ? "" : ` ${file}`}`)];
  const found: Finding[] = [];
  const { config } = status ?? {};
  if (config?.problem !== undefined) {
    found.push(wrong("config", `${config.file} is not followed as it should be: ${config.problem}`, "sapwood status"));
  }
  if (config?.refused !== undefined) {
    found.push(
      wrong("config", `the last change was refused: ${config.refused.message}`, `sapwood check ${config.file}`),
    );
  } else if (config?.needRestart !== undefined) {
    const fields = config.needRestart.join(", ");
    found.push(wrong("config", `changed and not in force: ${fields}`, "systemctl restart sapwood"));
  }
  return found.length > 0 ? found : [ok("config", `${file ?? config?.file ?? "the proxy's"} is valid`)];
}
