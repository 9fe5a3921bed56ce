// What makes a worker node start sapwood in the place of NetManager, by the built command.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("../../../dist/src/main.js", import.meta.url));
let root: string;
let program: string;
let unit: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "sapwood-install-"));
  program = join(root, "bin/NetManager");
  unit = join(root, "etc/systemd/system/netmanager.service");
});

afterEach(() => rmSync(root, { recursive: true }));

function sapwood(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args, "--root", root], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { status, stdout, stderr };
}

test("both files are written, run sapwood, and go again", () => {
  expect(sapwood("install-netmanager")).toEqual({
    status: 0,
    stdout: `${program} written\n${unit} written\n`,
    stderr: "",
  });
  expect(statSync(program).mode & 0o777).toBe(0o755);
  const version = spawnSync(program, ["version"], { encoding: "utf8" }).stdout;
  expect(version).toBe(spawnSync(process.execPath, [MAIN, "--version"], { encoding: "utf8" }).stdout);
  expect(spawnSync(program, ["--netcfg", join(root, "none.json")], { encoding: "utf8" }).stderr).toContain("none.json");
  const text = readFileSync(unit, "utf8");
  for (const line of ["ExecStart=/bin/NetManager", "Restart=always", "RestartSec=100ms", "StartLimitIntervalSec=0"]) {
    expect(text.split("\n")).toContain(line);
  }
  expect(sapwood("install-netmanager").status).toBe(0); // anew, of another version say
  expect(sapwood("uninstall-netmanager").status).toBe(0);
  expect([existsSync(program), existsSync(unit)]).toEqual([false, false]);
  expect(sapwood("uninstall-netmanager").stdout).toBe("Nothing of sapwood's is installed there.\n");
});

test.each([
  { result: "signal", slept: "" }, // kill -9
  { result: "success", slept: "" },
  { result: "exit-code", slept: "sleep 1\n" },
])("a daemon that ended with the result $result of systemd is started again at once, unless its start fails", (row) => {
  expect(sapwood("install-netmanager").status).toBe(0);
  const [, command] = /^ExecStopPost=\/bin\/sh -c '(.*)'$/m.exec(readFileSync(unit, "utf8")) ?? [];
  const script = `sleep() { echo sleep "$@"; }; ${command?.replaceAll("$$", "$")}`;
  const ran = spawnSync("/bin/sh", ["-c", script], { encoding: "utf8", env: { SERVICE_RESULT: row.result } });
  expect([ran.status, ran.stdout]).toEqual([0, row.slept]);
});

test("what is there is kept when somebody says so, and comes back", () => {
  for (const path of [program, unit]) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, "upstream's");
  }
  const refused = sapwood("install-netmanager");
  expect([refused.status, refused.stderr]).toEqual([
    2,
    expect.stringContaining(`${program} and ${unit} would have to make place: say so at the terminal, or with --yes.`),
  ]);
  expect(readFileSync(program, "utf8")).toBe("upstream's");
  expect(sapwood("uninstall-netmanager").status).toBe(0);
  expect(readFileSync(program, "utf8")).toBe("upstream's");
  expect(sapwood("install-netmanager", "--yes").status).toBe(0);
  expect(sapwood("install-netmanager").status).toBe(0);
  expect(readFileSync(`${program}.before-sapwood`, "utf8")).toBe("upstream's");
  expect(sapwood("uninstall-netmanager").status).toBe(0);
  expect([program, unit].map((path) => readFileSync(path, "utf8"))).toEqual(["upstream's", "upstream's"]);
  expect(existsSync(`${program}.before-sapwood`)).toBe(false);
});

test("a link that leads nowhere is kept as well, and a folder is refused", () => {
  mkdirSync(dirname(program), { recursive: true });
  symlinkSync("/nonexistent", program);
  expect(sapwood("install-netmanager").status).toBe(2);
  expect(sapwood("install-netmanager", "--yes").status).toBe(0);
  expect(sapwood("uninstall-netmanager").status).toBe(0);
  expect(readlinkSync(program)).toBe("/nonexistent");
  rmSync(program);
  mkdirSync(program);
  expect(sapwood("install-netmanager", "--yes")).toMatchObject({
    status: 1,
    stderr: expect.stringContaining(`${program} cannot be read or written: found a folder`),
  });
});

test("an installation that fails half leaves all as it was, and says why in a sentence", () => {
  mkdirSync(dirname(program), { recursive: true });
  writeFileSync(program, "upstream's");
  writeFileSync(join(root, "etc"), "no folder");
  const { status, stderr } = sapwood("install-netmanager", "--yes");
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringMatching(/^sapwood: .*cannot be read or written: E\w+\.\n$/),
  });
  expect(readFileSync(program, "utf8")).toBe("upstream's");
  expect(readdirSync(dirname(program))).toEqual(["NetManager"]);
});

test("the folder of the log is made, since systemd makes the file alone", () => {
  expect(sapwood("install-netmanager").status).toBe(0);
  expect(statSync(join(root, "var/log/oakestra")).isDirectory()).toBe(true);
});
