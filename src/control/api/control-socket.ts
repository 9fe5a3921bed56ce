// The unix socket's place in the file system: who may use it, and what to do with one that a crash left behind.

import { lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { dirname } from "node:path";
import { SapwoodError } from "../../base/errors.ts";

/** sizeof(sockaddr_un.sun_path) less its terminating zero (unix(7)). */
const PATH_MAX_BYTES = 107;
const DIRECTORY_MODE = 0o755;
/** Owner and group may connect. */
const SOCKET_MODE = 0o660;

/**
 * Makes room for a socket at `path`: creates its directory, removes a socket that nobody answers.
 * Throws already-running when somebody does.
 */
export async function claimSocketPath(path: string): Promise<void> {
  const lengthBytes = Buffer.byteLength(path);
  if (lengthBytes > PATH_MAX_BYTES) {
    throw new SapwoodError(
      "usage",
      `The control socket's path must have at most ${PATH_MAX_BYTES} bytes; "${path}" has ${lengthBytes}.`,
    );
  }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return;
    if (!found.isSocket()) {
      throw new SapwoodError("usage", `The control socket needs a free path; ${path} exists and is no socket.`);
    }
    if (await isAnswered(path)) {
      throw new SapwoodError(
        "already-running",
        `A proxy is running at the control socket ${path}: stop it, or name another socket with --socket.`,
      );
    }
    unlinkSync(path);
  } catch (error) {
    throw socketFailure(error, path);
  }
}

/** Binds `server` to a claimed path with the socket's mode. */
export async function listenOn(server: Server, path: string): Promise<void> {
  const listening = new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
  // bind() happens within listen(), so that the socket never exists with another mode.
  const previous = process.umask(0o777 & ~SOCKET_MODE);
  try {
    server.listen(path);
  } finally {
    process.umask(previous);
  }
  try {
    await listening;
  } catch (error) {
    throw socketFailure(error, path);
  }
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      else if (error.code === "EAGAIN")
        resolve(true); // its backlog is full (unix(7))
      else reject(error);
    });
  });
}

function socketFailure(error: unknown, path: string): unknown {
  if (error instanceof SapwoodError || !(error instanceof Error)) return error;
  const found = (error as NodeJS.ErrnoException).code ?? error.message;
  if (found === "EADDRINUSE") {
    return new SapwoodError("already-running", `Another proxy has just taken the control socket ${path} (${found}).`, {
      cause: error,
    });
  }
  const isForbidden = found === "EACCES" || found === "EPERM" || found === "EROFS";
  return new SapwoodError(
    isForbidden ? "missing-rights" : "system-call",
    `The control socket ${path} cannot be created (${found}): name a path that this user may write with --socket.`,
    { cause: error },
  );
}
