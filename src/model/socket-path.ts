// Where a proxy is asked unless told otherwise; known to the proxy and to the commands that ask it.

export const DEFAULT_SOCKET = "/run/sapwood/sapwood.sock";
