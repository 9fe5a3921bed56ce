// Which instance each connection of a client went to, by what arrived there: the first packet (SYN) of each connection is
// recorded where the instance is, whether its server accepts it or not.
import { isIPv6 } from "node:net";
import type { Sandbox, SandboxProgram } from "../../../src/lab/sandbox.ts";
import { SERVICE_PORT } from "../../../src/lab/workload-protocol.ts";

/** TCP with SYN alone; behind an IPv6 header without extensions its flags have the offset 40 + 13. */
const FILTER = `dst port ${SERVICE_PORT} and (tcp[13] & 0x12 = 2 or (ip6 and ip6[53] & 0x12 = 2))`;
const SYN = /\bIP(6?) \S+\.(\d+) > \S+: Flags \[S[^.]*\]/g;
/** As workload-call.ts tells it. */
const FAILURE = /^request \d+ to (\S+) from port (\d+): /;

export class Arrivals {
  readonly #sandbox: Sandbox;
  readonly #recorders = new Map<string, SandboxProgram>();

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** From now on what arrives in a namespace is recorded as what arrived at this instance. */
  async watch(instance: string, namespace: string): Promise<void> {
    await this.#recorders.get(instance)?.stop();
    const argv = ["tcpdump", "-i", "any", "-ntl", "--immediate-mode", FILTER];
    const recorder = this.#sandbox.start(argv, namespace);
    await recorder.until(`the recorder of ${instance}`, ({ stderr }) => stderr.includes("listening on"));
    this.#recorders.set(instance, recorder);
  }

  /** Of each failure the instances at which its connection arrived, joined; what had no connection is an error. */
  instancesOf(failures: readonly string[]): string[] {
    return failures.map((failure) => {
      const [, address = "", port] = FAILURE.exec(failure) ?? [];
      if (port === undefined) throw new Error(`No connection, and no instance, had the call that failed: ${failure}`);
      const key = keyOf(isIPv6(address), port);
      const reached = [...this.#recorders].filter(([, { stdout }]) => arrivedIn(stdout).has(key));
      return reached.map(([instance]) => instance).join();
    });
  }
}

function arrivedIn(lines: string): ReadonlySet<string> {
  return new Set([...lines.matchAll(SYN)].map(([, version, port = ""]) => keyOf(version === "6", port)));
}

function keyOf(isV6: boolean, port: string): string {
  return `${isV6 ? "IPv6" : "IPv4"} ${port}`;
}
