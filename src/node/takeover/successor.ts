// The next process, when the running one starts it itself: with its own arguments, environment, rights and log, and
// under systemd in the same unit.

import { spawn } from "node:child_process";

/** The option of `sapwood run` and `sapwood netmanager` by which they take over. */
const TAKEOVER_FLAG = "--takeover";

export interface Successor {
  /** Ends it, unless it has taken over. */
  end(): void;
}

interface SuccessorOptions {
  /** The program of Node.js, and the entry of the version that is to run. */
  readonly node: string;
  readonly program: string;
  /** Where the running process is asked. */
  readonly socket: string;
}

/** `onFailure` is told with a sentence that it ended with a failure or was not there. */
export function startSuccessor(
  { node, program, socket }: SuccessorOptions,
  onFailure: (sentence: string) => void,
): Successor {
  const own = process.argv.slice(2).filter((argument) => argument !== TAKEOVER_FLAG);
  const { WATCHDOG_PID: _own, ...env } = process.env; // the watchdog is to be that of the next process
  const child = spawn(node, [program, ...own, "--socket", socket, TAKEOVER_FLAG], {
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  child.unref();
  child.once("error", (error) => onFailure(`The next process could not be started: ${error.message}.`));
  child.once("exit", (code, signal) => {
    onFailure(`The next process ended with ${signal ?? `status ${code}`} and did not take over; the log says why.`);
  });
  return { end: () => child.kill("SIGTERM") };
}
