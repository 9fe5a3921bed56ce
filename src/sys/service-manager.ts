// Tells the service manager (systemd) how this process is: sd_notify(3), one datagram to the socket that it named.
// Without such a socket nothing is told. What cannot be told is lost: the service manager has its own timeouts.

import { sendDatagram } from "./message-socket.ts";

/** Of the time after which systemd takes the process for dead (sd_watchdog_enabled(3)). */
const WATCHDOG_PART = 3;

export class ServiceManager {
  readonly #path: string | undefined;
  readonly #watchdogMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(env: NodeJS.ProcessEnv) {
    const path = env.NOTIFY_SOCKET ?? "";
    this.#path = /^[/@]./.test(path) ? path : undefined;
    this.#watchdogMs = watchdogOf(env);
  }

  /** From now on it also hears that the main thread goes on, as often as it asked for. */
  ready(status: string): void {
    this.#tell(`READY=1\nSTATUS=${status.replaceAll("\n", " ")}\n`);
    if (this.#watchdogMs === undefined || this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#tell("WATCHDOG=1\n"), this.#watchdogMs / WATCHDOG_PART);
    this.#timer.unref();
  }

  /** The watchdog goes on: an end may take its time as well, and systemd bounds it otherwise. */
  stopping(): void {
    this.#tell("STOPPING=1\n");
  }

  /** Another process is the main one from now on, and says the rest. */
  succeededBy(pid: number): void {
    this.#tell(`MAINPID=${pid}\n`);
  }

  /** Keeps a descriptor while no process of the unit runs; one that it has under the name already stays. */
  keep(name: string, fd: number): void {
    // FDPOLL: an error of a socket is no reason to let it go.
    this.#tell(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0\n`, [fd]);
  }

  forget(name: string): void {
    this.#tell(`FDSTOREREMOVE=1\nFDNAME=${name}\n`);
  }

  #tell(text: string, descriptors: readonly number[] = []): void {
    if (this.#path === undefined) return;
    try {
      sendDatagram(this.#path, text, descriptors);
    } catch {
      // It has gone, or takes nothing more.
    }
  }
}

/** Milliseconds; undefined when no watchdog, or that of another process, is meant. */
function watchdogOf({ WATCHDOG_USEC: us, WATCHDOG_PID: pid }: NodeJS.ProcessEnv): number | undefined {
  if (us === undefined || !/^[1-9]\d{0,15}$/.test(us)) return undefined;
  return pid === undefined || pid === String(process.pid) ? Number(us) / 1000 : undefined;
}
