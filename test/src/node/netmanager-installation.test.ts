// What makes a worker node start sapwood in the place of NetManager, by the built command.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
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
import { afterEach, beforeEach, describe, expect, test } from "vitest";

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

function writeForeign(text: string): void {
  for (const path of [program, unit]) {
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true });
    writeFileSync(path, text);
  }
}

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
  writeForeign("upstream's");
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

test("what was kept before is kept as well when somebody else has written anew meanwhile", () => {
  writeForeign("of old");
  expect(sapwood("install-netmanager", "--yes").status).toBe(0);
  writeForeign("upgraded");
  expect(sapwood("install-netmanager", "--yes").stdout).toContain(
    `${program}.before-sapwood.1 is what ${program}.before-sapwood was before\n` +
      `${program}.before-sapwood is what ${program} was before\n`,
  );
  const text = (path: string) => readFileSync(path, "utf8");
  expect([text(`${program}.before-sapwood`), text(`${program}.before-sapwood.1`)]).toEqual(["upgraded", "of old"]);
  // An installation that fails half changes neither.
  writeForeign("upgraded again");
  mkdirSync(`${unit}.new`);
  expect(sapwood("install-netmanager", "--yes").status).toBe(1);
  expect(readdirSync(dirname(program)).sort()).toEqual(
    ["", ".before-sapwood", ".before-sapwood.1"].map((end) => `NetManager${end}`),
  );
  expect([text(program), text(`${program}.before-sapwood`)]).toEqual(["upgraded again", "upgraded"]);
  rmSync(`${unit}.new`, { recursive: true });
  expect(sapwood("uninstall-netmanager").status).toBe(0);
  expect(text(program)).toBe("upgraded again");
});

const PROMPT = "write anew? [y/N] ";

describe("at a terminal", () => {
  beforeEach(() => writeForeign("upstream's"));

  test.each(["y\n", "Y\n", " yes \n"])(
    "the answer %j to the question keeps what is there and writes anew",
    async (answer) => {
      const { status, text } = await atTerminal("install-netmanager", answer);
      expect(status).toBe(0);
      expect(text).toContain(`Keep ${program} and ${unit} as *.before-sapwood and ${PROMPT}`);
      expect(text).toContain(`${unit}.before-sapwood is what ${unit} was before\n`);
      expect(contents(program, unit, `${program}.before-sapwood`)).toEqual(["sapwood", "sapwood", "upstream's"]);
    },
  );

  const END = "\u0004"; // what the key Ctrl-D sends
  test.each(["n\n", "\n", "yess\n", "no, y\n", END, `n${END}${END}`])(
    "the answer %j leaves all as it is",
    async (answer) => {
      const { status, text } = await atTerminal("install-netmanager", answer);
      expect([status, text]).toEqual([2, expect.stringMatching(/sapwood: .* would have to make place: .*--yes\.\n$/)]);
      expect(contents(program, unit)).toEqual(["upstream's", "upstream's"]);
      expect(existsSync(`${program}.before-sapwood`)).toBe(false);
    },
  );

  test("Ctrl-C at the question, and a terminal that closes, leave all as it is", async () => {
    expect((await atTerminal("install-netmanager", "\u0003")).text).not.toContain("sapwood:");
    await atTerminal("install-netmanager", "closed");
    expect(contents(program, unit)).toEqual(["upstream's", "upstream's"]);
    expect(readdirSync(dirname(program))).toEqual(["NetManager"]);
  });

  test("nothing is asked where nothing is overwritten: with --yes, over files of sapwood's own, and at the way back", async () => {
    for (const command of ["install-netmanager --yes", "install-netmanager", "uninstall-netmanager"]) {
      const { status, text } = await atTerminal(command);
      expect([status, text.includes("[y/N]")], command).toEqual([0, false]);
    }
    expect(contents(program, unit)).toEqual(["upstream's", "upstream's"]);
    const again = await atTerminal("uninstall-netmanager");
    expect(again).toEqual({ status: 0, text: "Nothing of sapwood's is installed there.\n" });
    expect(contents(program, unit)).toEqual(["upstream's", "upstream's"]);
  });

  /** "sapwood" for a file of ours. */
  function contents(...paths: string[]): string[] {
    return paths
      .map((path) => readFileSync(path, "utf8"))
      .map((text) => (text.includes("written by sapwood") ? "sapwood" : text));
  }

  /** Runs a command at a terminal of its own, and types the answer when it asks, or closes the terminal. */
  async function atTerminal(command: string, answer?: string): Promise<{ status: number | null; text: string }> {
    const line = `'${process.execPath}' '${MAIN}' ${command} --root '${root}'`;
    const script = spawn("script", ["--quiet", "--return", "--flush", "--command", line, "/dev/null"]);
    let text = "";
    script.stdout.setEncoding("utf8").on("data", (more: string) => {
      const isAsked = text.includes(PROMPT);
      text += more;
      if (isAsked || !text.includes(PROMPT)) return;
      if (answer === "closed") script.kill("SIGKILL");
      else script.stdin.write(answer);
    });
    const force = setTimeout(() => script.kill("SIGKILL"), 60_000); // one that waits for more
    const [status] = await once(script, "close");
    clearTimeout(force);
    return { status, text: text.replaceAll("\r", "") };
  }
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
