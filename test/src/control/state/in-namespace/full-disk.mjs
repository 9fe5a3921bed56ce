// Every writer of files that outlive the process, on a disk of its own that gets full, and that can only be read. Prints
// what each says, what it reads afterwards, and which files are there; and what becomes of a log there.
//   full-disk.mjs DIRECTORY
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { JobsFile } from "../../../../../dist/src/control/providers/oakestra/jobs-file.js";
import { StateFile } from "../../../../../dist/src/control/providers/oakestra/state-file.js";
import { sha256Of } from "../../../../../dist/src/control/state/loaded-module.js";
import { ModuleStore } from "../../../../../dist/src/control/state/module-store.js";
import { ensureKey, readKey } from "../../../../../dist/src/control/underlay/key-file.js";
import { replaceOwnFile } from "../../../../../dist/src/sys/own-files.js";
import { readState, SysctlSession } from "../../../../../dist/src/sys/sysctl.js";

const [, , disk] = process.argv;
execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", disk]);
const folder = (name) => {
  mkdirSync(`${disk}/${name}`, { recursive: true, mode: 0o700 });
  return `${disk}/${name}`;
};

/** `write` makes version 1, 2 or 3 what is there; `read` says which is. */
const writers = {
  modules: {
    write(version) {
      const store = new ModuleStore(folder("modules"));
      const bytes = new Uint8Array(12_000).fill(version);
      const current = { bytes, source: `/srv/${version}.wasm`, sha256: sha256Of(bytes) };
      try {
        store.write({ engine: undefined, policies: new Map([["mine", { current }]]) });
      } finally {
        store.close();
      }
    },
    read() {
      const { policies } = new ModuleStore(folder("modules")).read((name, problem) => {
        throw new Error(`${name}: ${problem}`);
      });
      return policies.get("mine")?.current.bytes[0];
    },
  },
  worker: {
    write(version) {
      const subnet = { v4: "10.19.0.0", v6: "fc00::" };
      const state = { workerId: `${version}`, clusterAddress: "192.0.2.1", subnet, address: "192.0.2.2" };
      new StateFile(folder("worker")).write({ ...state, containers: [], leaving: [] });
    },
    read: () => Number(new StateFile(folder("worker")).read()?.workerId),
  },
  jobs: {
    write(version) {
      let problem;
      const jobs = () => Array.from({ length: version }, () => ({ name: "a.b.c.d", instances: [] }));
      const tell = (sentence) => {
        problem = sentence;
      };
      const file = { folder: folder("jobs"), workerId: "w", clusterAddress: () => "c", jobs, tell };
      const jobsFile = new JobsFile(file);
      jobsFile.write();
      jobsFile.close();
      if (problem !== undefined) throw new Error(problem);
    },
    read: () => JSON.parse(readFileSync(`${disk}/jobs/jobs.json`, "utf8")).jobs.length,
  },
  parameters: {
    write(version) {
      const store = { read: () => "0", write: () => undefined };
      const processes = { own: "1 1", isAlive: () => true };
      const session = new SysctlSession(`${folder("parameters")}/1.json`, "scope", store, processes);
      session.set({ path: "net/ipv4/ip_forward", value: `${version}` });
    },
    read: () => Number(readState(`${disk}/parameters/1.json`)?.changes[0]?.value),
  },
  settings: {
    write: (version) => replaceOwnFile(`${folder("settings")}/node.json`, "x".repeat(5000 + version)),
    read: () => readFileSync(`${disk}/settings/node.json`).length - 5000,
  },
};

const files = () => readdirSync(disk, { recursive: true }).sort();

function attempt(action) {
  try {
    return action();
  } catch (error) {
    return error.message.split("\n")[0];
  }
}

/** What all of them say to a version, and then read. */
function round(version) {
  const before = files();
  const said = {};
  for (const [name, { write, read }] of Object.entries(writers)) {
    said[name] = { said: attempt(() => write(version)) ?? "written", read: attempt(read) };
  }
  const key = attempt(() => ensureKey(`${disk}/keys/${version}.key`));
  said.key = { said: key, read: attempt(() => readKey(`${disk}/keys/${version}.key`)) ?? "none" };
  return { ...said, newFiles: files().filter((name) => !before.includes(name)) };
}

function fill() {
  for (let size = 65_536; size >= 1; size = Math.floor(size / 2)) {
    while (attempt(() => appendFileSync(`${disk}/filler`, "x".repeat(size))) === undefined);
  }
}

mkdirSync(`${disk}/keys`);
/** The log of a process whose first line has room for its beginning alone; before the second there is more. */
function logLines() {
  rmSync(`${disk}/page`);
  const log = openSync(`${disk}/log`, "w");
  const program = `
    import { rmSync } from "node:fs";
    import { createLogger, lostLogLines } from ${JSON.stringify(LOG)};
    const log = createLogger("info");
    log.info("x".repeat(2 * ${PAGE}));
    rmSync(${JSON.stringify(`${disk}/filler`)});
    log.info("the second");
    console.log(lostLogLines());`;
  const command = ["--input-type=module", "-e", program];
  const lost = execFileSync(process.execPath, command, { stdio: ["ignore", "pipe", log], encoding: "utf8" });
  closeSync(log);
  const lines = readFileSync(`${disk}/log`, "utf8").split("\n");
  return { lost: Number(lost), lengths: lines.map((line) => line.length), last: JSON.parse(lines.at(-2)).msg };
}

const LOG = new URL("../../../../../dist/src/base/log.js", import.meta.url).href;
const PAGE = 4096; // what tmpfs gives room by
writeFileSync(`${disk}/page`, "x");
const remount = (mode) => execFileSync("mount", ["-o", `remount,${mode}`, disk]);
const rounds = { first: round(1) };
writeFileSync(`${disk}/filler`, "");
fill();
rounds.full = round(2);
rounds.log = logLines();
rmSync(`${disk}/filler`, { force: true });
rmSync(`${disk}/log`);
rounds.roomAgain = round(2);
remount("ro");
rounds.readOnly = round(3);
remount("rw");
rounds.writableAgain = round(3);
process.stdout.write(JSON.stringify(rounds));
