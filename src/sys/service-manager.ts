// Tells the service manager (systemd) how this process is: sd_notify(3), one datagram to the socket that it named.
// Without such a socket nothing is told. What cannot be told is lost: the service manager has its own timeouts.

import { close, O_CLOEXEC, O_NONBLOCK, SOCK_DGRAM, sendto, socket } from "./libc.ts";

const AF_UNIX = 1;
const FAMILY_SIZE = 2;
/** sizeof(sockaddr_un.sun_path) (unix(7)). */
const PATH_MAX = 108;
const MSG_NOSIGNAL = 0x4000;
/** Of the time after which systemd takes the process for dead (sd_watchdog_enabled(3)). */
const WATCHDOG_PART = 3;

export class ServiceManager {
  readonly #address: Uint8Array | undefined;
  readonly #watchdogMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(env: NodeJS.ProcessEnv) {
    this.#address = addressOf(env.NOTIFY_SOCKET ?? "");
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

  #tell(text: string): void {
    if (this.#address === undefined) return;
    const fd = socket(AF_UNIX, SOCK_DGRAM | O_CLOEXEC | O_NONBLOCK, 0);
    if (fd < 0) return;
    const bytes = Buffer.from(text);
    sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, this.#address, this.#address.length);
    close(fd);
  }
}

/** A sockaddr_un: a path, or a name that begins with "@" in the place of a zero. Undefined for anything else. */
function addressOf(name: string): Uint8Array | undefined {
  if (!/^[/@]./.test(name)) return undefined;
  const path = Buffer.from(name);
  if (path.length >= PATH_MAX) return undefined;
  const isAbstract = path[0] === 0x40;
  if (isAbstract) path[0] = 0;
  const address = Buffer.alloc(FAMILY_SIZE + path.length + (isAbstract ? 0 : 1));
  address.writeUInt16LE(AF_UNIX);
  path.copy(address, FAMILY_SIZE);
  return address;
}

/** Milliseconds; undefined when no watchdog, or that of another process, is meant. */
function watchdogOf({ WATCHDOG_USEC: us, WATCHDOG_PID: pid }: NodeJS.ProcessEnv): number | undefined {
  if (us === undefined || !/^[1-9]\d{0,15}$/.test(us)) return undefined;
  return pid === undefined || pid === String(process.pid) ? Number(us) / 1000 : undefined;
}
