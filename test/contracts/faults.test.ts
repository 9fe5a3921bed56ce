// What lets a node survive faults and cannot be seen in one place: who writes files, who reads the clock that can be set,
// and which ends are followed by a start.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NetmanagerInstallation } from "../../src/node/netmanager-installation.ts";
import { sourcesBelow, text } from "../support/source-files.ts";

const PRODUCT = sourcesBelow("src").filter((path) => !/^src\/(?:lab|page)\//.test(path));

/** The texts of the unit of `sapwood run` and of that which `sapwood install-netmanager` writes. */
function units(): string[] {
  const root = mkdtempSync(join(tmpdir(), "sapwood-units-"));
  try {
    new NetmanagerInstallation(root).install();
    return [
      text("contrib/systemd/sapwood.service"),
      readFileSync(join(root, "etc/systemd/system/netmanager.service"), "utf8"),
    ];
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** Sources with a match outside of comments. */
function sourcesWith(pattern: RegExp): string[] {
  const code = (path: string): string => text(path).replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, "");
  return PRODUCT.filter((path) => pattern.test(code(path))).sort();
}

test("files that outlive the process are written by one place; the others write what is no such file", () => {
  expect(sourcesWith(/\b(?:writeFileSync|writeSync|createWriteStream|copyFileSync|cpSync|appendFile\w*)\(/)).toEqual([
    "src/base/log.ts", // to stderr
    "src/cli/save-capture.ts", // where a command was told to
    "src/control/config/text-process.ts", // to a pipe
    "src/control/modules/policy-template.ts", // a folder that a command makes
    "src/dataplane/io/flow-file.ts", // in memory; a rename puts it in force when it is whole
    "src/sys/kernel-sysctls.ts", // /proc/sys
    "src/sys/limits.ts", // /proc/self
    "src/sys/own-files.ts", // the place
  ]);
});

test("the clock that can be set gives times to people, and nothing waits or ends by it", () => {
  expect(sourcesWith(/\bDate\.now\(\)|\bnew Date\(\)/)).toEqual([
    "src/control/config/file-watcher.ts", // the age of a file, where no lease tells whether it is written to
    "src/control/observe/status.ts", // how far the clock was set
    "src/node/open-config.ts",
    "src/node/open-control.ts",
    "src/node/open-network.ts",
    "src/node/open-tables.ts",
    "src/node/replay-plan.ts",
  ]);
});

test("both units start a proxy again after whatever exit status, as docs/reliability.md says", () => {
  for (const unit of units()) {
    expect(unit).toMatch(/^Restart=always$/m);
    expect(unit).toMatch(/^StartLimitIntervalSec=0$/m);
    expect(unit).not.toMatch(/^(?:RestartPreventExitStatus|SuccessExitStatus)=/m);
  }
  expect(text("docs/reliability.md")).toContain("`Restart=always`, no `RestartPreventExitStatus=`");
});

test("systemd hears of both when they serve, watches both, and keeps the descriptors of both", () => {
  const [run = "", netmanager = ""] = units();
  for (const line of ["Type", "WatchdogSec", "FileDescriptorStoreMax", "Restart", "RestartSec", "ExecStopPost"]) {
    const of = (unit: string) => new RegExp(`^${line}=.*$`, "m").exec(unit)?.[0];
    expect(of(run)).toBeDefined();
    expect(of(netmanager)).toBe(of(run));
  }
  expect(run).toMatch(/^Type=notify$/m); // which says NotifyAccess=main as well
});

test.runIf(existsSync("/usr/bin/systemd-analyze"))("systemd takes each line of both units", () => {
  const folder = mkdtempSync(join(tmpdir(), "sapwood-verify-"));
  try {
    const files = units().map((unit, i) => {
      const file = join(folder, `sapwood-${i}.service`);
      // Programs that are installed elsewhere are no matter of the unit.
      writeFileSync(file, unit.replace(/^ExecStart=\S+/m, "ExecStart=/bin/true"));
      return file;
    });
    const { stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", ...files], { encoding: "utf8" });
    expect(stderr.split("\n").filter((line) => line.includes(folder) || line.includes("sapwood-"))).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
