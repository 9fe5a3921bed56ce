// One check of an instance, from its own node: a TCP connection, a request over HTTP, or an echo request. Promises: a
// check ends when its time is over, whatever the workload does, and reads no more of it than the head of a response.

import { request } from "node:http";
import { connect } from "node:net";
import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf } from "../../base/errors.ts";
import { printableLine } from "../../base/printable.ts";
import { HEALTH_HTTP_PORT, type ServiceHealth } from "../../model/tables.ts";
import { familyOf } from "../../net/address.ts";
import { type EchoState, PingSocket } from "../../sys/ping-socket.ts";

/** Undefined when the instance passed; else the end of a sentence that says why it did not. */
export type CheckResult = string | undefined;

/** The kernel does not wake this thread for an answer; most come within the first pause. */
const ECHO_LOOK_MIN_MS = 1;
const ECHO_LOOK_MAX_MS = 50;
const FIRST_ERROR_STATUS = 400;
/** A workload's header fields are of no use here. */
const HEADER_BYTES_MAX = 8192;
const REASONS: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "refused the connection"],
  ["ECONNRESET", "reset the connection"],
  ["EHOSTUNREACH", "could not be reached from its node"],
  ["ENETUNREACH", "could not be reached from its node"],
]);

/** A port must take a connection, which is closed at once. */
export function checkTcp(address: string, port: number, timeoutMs: number): Promise<CheckResult> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = ender(socket, `TCP port ${port}`, timeoutMs, resolve);
    socket.once("connect", () => end(undefined));
    socket.once("error", (error) => end(failureText(error, `TCP port ${port}`)));
  });
}

/** A path must be answered with a status below 400. Redirections are not followed. */
export function checkHttp(
  address: string,
  { http: path = "/", port = HEALTH_HTTP_PORT, timeout }: ServiceHealth,
): Promise<CheckResult> {
  const what = `GET ${path} on port ${port}`;
  return new Promise((resolve) => {
    const host = familyOf(address) === 6 ? `[${address}]` : address;
    const asked = request({
      ...{ host: address, port, path, agent: false, maxHeaderSize: HEADER_BYTES_MAX },
      headers: { host: `${host}:${port}`, "user-agent": "sapwood", connection: "close" },
    });
    const end = ender(asked, what, timeout, resolve);
    asked.once("response", (response) => {
      const { statusCode = 0 } = response;
      end(statusCode < FIRST_ERROR_STATUS ? undefined : `answered ${what} with status ${statusCode}`);
    });
    asked.once("error", (error) => end(failureText(error, what)));
    asked.end();
  });
}

/** An echo request must be answered; it is repeated once, because one may be lost. */
export async function checkIcmp(address: string, timeoutMs: number): Promise<CheckResult> {
  const opened = PingSocket.open(address);
  if (!(opened instanceof PingSocket)) return `could not be asked by ICMP (${opened.error})`;
  try {
    const endMs = performance.now() + timeoutMs;
    for (const untilMs of [performance.now() + timeoutMs / 2, endMs]) {
      const failed = opened.send();
      if (failed !== undefined) return `could not be reached from its node (${failed})`;
      const state = await echoBy(opened, untilMs);
      if (state === "answered") return undefined;
      if (state !== "awaited") return `could not be reached from its node (${state.error})`;
    }
    return `did not answer an echo request within ${timeoutMs}ms`;
  } finally {
    opened.close();
  }
}

/** What is known of the last request when it is answered, or at that time. */
async function echoBy(opened: PingSocket, untilMs: number): Promise<EchoState> {
  for (let pauseMs = ECHO_LOOK_MIN_MS; ; pauseMs = Math.min(2 * pauseMs, ECHO_LOOK_MAX_MS)) {
    const state = opened.receive();
    const leftMs = untilMs - performance.now();
    if (state !== "awaited" || leftMs <= 0) return state;
    await sleep(Math.min(pauseMs, leftMs), undefined, { ref: false });
  }
}

/** Settles once, and then lets go of the connection. */
function ender(
  connection: Writable,
  what: string,
  timeoutMs: number,
  resolve: (result: CheckResult) => void,
): (result: CheckResult) => void {
  const end = (result: CheckResult): void => {
    clearTimeout(timer);
    connection.on("error", () => undefined); // what comes after the end is of no interest
    connection.destroy();
    resolve(result);
  };
  const timer = setTimeout(() => end(`did not answer ${what} within ${timeoutMs}ms`), timeoutMs);
  return end;
}

function failureText(error: NodeJS.ErrnoException, what: string): string {
  const known = REASONS.get(error.code ?? "");
  return known === undefined ? `failed ${what}: ${printableLine(reasonOf(error))}` : `${known} (${what})`;
}
