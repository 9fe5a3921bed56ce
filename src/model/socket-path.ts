// Where a proxy is asked unless told otherwise; known to the proxy and to the commands that ask it.

const STANDARD_SOCKET = "/run/sapwood/sapwood.sock";
const SOCKET_VARIABLE = "SAPWOOD_SOCKET";

/** How help and documentation call it. */
export const DEFAULT_SOCKET_TEXT = `${SOCKET_VARIABLE}, else ${STANDARD_SOCKET}`;

/** The variable, unless it is empty, else the standard place. */
export function defaultSocket(): string {
  return process.env[SOCKET_VARIABLE] || STANDARD_SOCKET;
}
