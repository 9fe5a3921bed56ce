// What makes a worker node start sapwood where it started NetManager: its program and its systemd unit. What stood
// there before is kept beside them, and is put back when they are removed.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Marks files that are ours, in their text. */
const MARK = "written by sapwood install-netmanager";
const BEFORE = ".before-sapwood";
const LOG = "/var/log/oakestra/netmanager.log";
const PROGRAM_MODE = 0o755;
const UNIT_MODE = 0o644;

const PROGRAM = "/bin/NetManager";
const UNIT = "/etc/systemd/system/netmanager.service";

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

  /** Files of somebody else that would be replaced. */
  foreign(): string[] {
    return this.#files()
      .map(({ path }) => path)
      .filter((path) => existsSync(path) && !isOurs(path));
  }

  /** Writes both files, and keeps a copy of what is there; returns their paths. */
  install(): string[] {
    return this.#files().map(({ path, mode, text }) => {
      mkdirSync(dirname(path), { recursive: true });
      if (existsSync(path) && !isOurs(path)) renameSync(path, path + BEFORE);
      // Renamed into place, so that a program that runs is not written into.
      writeFileSync(`${path}.new`, text, { mode });
      renameSync(`${path}.new`, path);
      return path;
    });
  }

  /** Removes what is ours, and puts back what stood there before; returns the paths that changed. */
  uninstall(): string[] {
    return this.#files().flatMap(({ path }) => {
      if (!existsSync(path) || !isOurs(path)) return [];
      rmSync(path);
      if (existsSync(path + BEFORE)) renameSync(path + BEFORE, path);
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

function isOurs(path: string): boolean {
  return readFileSync(path, "latin1").includes(MARK);
}

/** The sub-commands are those of NetManager. */
function programText(): string {
  const main = fileURLToPath(new URL("../main.js", import.meta.url));
  const sapwood = `exec ${quoted(process.execPath)} ${quoted(main)}`;
  return `#!/bin/sh
# NetManager of an Oakestra worker node; ${MARK}.
LOG=${LOG}
case "$1" in
  version) ${sapwood} --version ;;
  status)
    systemctl status netmanager --no-pager
    grep STARTUP_CONFIG "$LOG" | tail -n 1
    ;;
  logs) exec tail -n 100 -F "$LOG" ;;
  *) ${sapwood} netmanager "$@" ;;
esac
`;
}

function unitText(): string {
  return `# ${MARK}
[Unit]
Description=NetManager of an Oakestra worker node, by sapwood
Documentation=man:systemd.service(5)
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStartPre=/bin/mkdir -p ${dirname(LOG)}
ExecStart=${PROGRAM}
Restart=always
RestartSec=5
StandardOutput=append:${LOG}
StandardError=append:${LOG}

[Install]
WantedBy=multi-user.target
`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
