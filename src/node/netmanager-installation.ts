// What makes a worker node start sapwood where it started NetManager: its program and its systemd unit. What was
// there before is kept beside them, and is put back when they are removed.

import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { reasonOf, SapwoodError } from "../base/errors.ts";
import { replaceOwnFile, writeDraft } from "../sys/own-files.ts";

/** Marks files that are ours, in their text. */
const MARK = "written by sapwood install-netmanager";
const BEFORE = ".before-sapwood";
const LOG = "/var/log/oakestra/netmanager.log";
const PROGRAM_MODE = 0o755;
const UNIT_MODE = 0o644;

const PROGRAM = "/bin/NetManager";
const UNIT = "/etc/systemd/system/netmanager.service";

/** What an installation has done. */
interface Installed {
  readonly written: readonly string[];
  /** Files that were there, and what they are called now. */
  readonly kept: readonly Renamed[];
}

interface Renamed {
  readonly path: string;
  readonly as: string;
}

interface InstalledFile {
  readonly path: string;
  readonly mode: number;
  readonly text: string;
}

/** The files below `root`, "/" on a running machine. */
export class NetmanagerInstallation {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Files of somebody else that would be replaced. Throws missing-rights or network-setup. */
  foreign(): string[] {
    return this.#files()
      .map(({ path }) => path)
      .filter((path) => isThere(path) && !isOurs(path));
  }

  /**
   * Writes both files, and keeps what is there, also what an installation before has kept. Throws missing-rights or
   * network-setup, and then all is as it was.
   */
  install(): Installed {
    const done: (() => void)[] = [];
    const kept: Renamed[] = [];
    const rename = (path: string, as: string): void => {
      renameSync(path, as);
      kept.push({ path, as });
      done.push(() => renameSync(as, path));
    };
    try {
      // systemd makes the log, but not its folder (systemd.exec(5), StandardOutput).
      attempt(dirname(join(this.#root, LOG)), (folder) => mkdirSync(folder, { recursive: true }));
      for (const file of this.#files()) attempt(file.path, () => put(file, { rename, done }));
      return { written: this.#files().map(({ path }) => path), kept };
    } catch (error) {
      for (const undo of done.reverse()) undo();
      throw error;
    }
  }

  /** Removes what is ours, and puts back what was there before; returns the paths that changed. Throws as `install`. */
  uninstall(): string[] {
    return this.#files().flatMap(({ path }) => {
      if (!isThere(path) || !isOurs(path)) return [];
      attempt(path, () => {
        if (isThere(path + BEFORE)) renameSync(path + BEFORE, path);
        else rmSync(path);
      });
      return [path];
    });
  }

  #files(): InstalledFile[] {
    return [
      { path: join(this.#root, PROGRAM), mode: PROGRAM_MODE, text: programText() },
      { path: join(this.#root, UNIT), mode: UNIT_MODE, text: unitText() },
    ];
  }
}

interface Steps {
  readonly rename: (path: string, as: string) => void;
  /** How each step is undone. */
  readonly done: (() => void)[];
}

function put({ path, mode, text }: InstalledFile, { rename, done }: Steps): void {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.new`;
  rmSync(draft, { force: true }); // its mode would stay
  done.push(() => rmSync(draft, { force: true }));
  writeDraft(draft, text, mode);
  const isForeign = isThere(path) && !isOurs(path);
  const older = isThere(path) && !isForeign ? readFileSync(path) : undefined;
  if (isForeign) {
    if (isThere(path + BEFORE)) rename(path + BEFORE, freeName(path + BEFORE));
    rename(path, path + BEFORE);
  }
  // Renamed into place, so that a program that runs is not written into.
  renameSync(draft, path);
  done.push(() => {
    if (older === undefined) rmSync(path, { force: true });
    else replaceOwnFile(path, older, mode);
  });
}

function freeName(path: string): string {
  let number = 1;
  while (isThere(`${path}.${number}`)) number++;
  return `${path}.${number}`;
}

/** A link that leads nowhere is there as well. */
function isThere(path: string): boolean {
  return attempt(path, () => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

function isOurs(path: string): boolean {
  return attempt(path, () => {
    const status = lstatSync(path);
    if (status.isDirectory()) throw new Error("found a folder");
    return status.isFile() && readFileSync(path, "latin1").includes(MARK);
  });
}

function attempt<Result>(path: string, work: (path: string) => Result): Result {
  try {
    return work(path);
  } catch (cause) {
    if (cause instanceof SapwoodError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? "";
    const message = `${path} cannot be read or written: ${code || reasonOf(cause)}.`;
    if (code !== "EACCES" && code !== "EPERM") throw new SapwoodError("network-setup", message, { cause });
    throw new SapwoodError("missing-rights", message.replace(/\.$/, ", run as root."), { cause });
  }
}

/** The sub-commands are those of NetManager. */
function programText(): string {
  const main = fileURLToPath(new URL("../main.js", import.meta.url));
  const sapwood = `${quoted(process.execPath)} ${quoted(main)}`;
  return `#!/bin/sh
# NetManager of an Oakestra worker node; ${MARK}.
LOG=${LOG}
case "$1" in
  version) exec ${sapwood} --version ;;
  status)
    systemctl status netmanager --no-pager
    grep STARTUP_CONFIG "$LOG" | tail -n 1
    ${sapwood} status || true # says why when no daemon runs
    ;;
  logs) exec tail -n 100 -F "$LOG" ;;
  *) exec ${sapwood} netmanager "$@" ;;
esac
`;
}

/**
 * How long systemd waits before it starts a daemon again that was killed: containers cannot reach the tunnel meanwhile. A
 * start that fails, because of a mistake in a file, say, would fail again and again: it waits longer.
 */
export const RESTART_MS = 100;
const FAILED_START_SECONDS = 1;

function unitText(): string {
  return `# ${MARK}
[Unit]
Description=NetManager of an Oakestra worker node, by sapwood
Documentation=man:systemd.service(5)
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
# Ready when packets and the NodeEngine are served. A main thread that does not go on for a minute is started anew.
Type=notify
WatchdogSec=60
# Those of the TUN and the tunnel, whose queues hold what comes while the daemon starts again.
FileDescriptorStoreMax=64
ExecStart=${PROGRAM}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=${RESTART_MS}ms
ExecStopPost=/bin/sh -c 'test "$$SERVICE_RESULT" != exit-code || sleep ${FAILED_START_SECONDS}'
StandardOutput=append:${LOG}
StandardError=append:${LOG}

[Install]
WantedBy=multi-user.target
`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
