// What lets a node survive faults and cannot be seen in one place: who writes files, who reads the clock that can be set,
// and which ends are followed by a start.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NetmanagerInstallation } from "../../src/node/netmanager-installation.ts";
import { sourcesBelow, text } from "../support/source-files.ts";

const PRODUCT = sourcesBelow("src").filter((path) => !/^src\/(?:lab|page)\//.test(path));

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
  const root = mkdtempSync(join(tmpdir(), "sapwood-units-"));
  try {
    new NetmanagerInstallation(root).install();
    const installed = readFileSync(join(root, "etc/systemd/system/netmanager.service"), "utf8");
    for (const unit of [installed, text("contrib/systemd/sapwood.service")]) {
      expect(unit).toMatch(/^Restart=always$/m);
      expect(unit).toMatch(/^StartLimitIntervalSec=0$/m);
      expect(unit).not.toMatch(/^(?:RestartPreventExitStatus|SuccessExitStatus)=/m);
    }
  } finally {
    rmSync(root, { recursive: true });
  }
  expect(text("docs/reliability.md")).toContain("`Restart=always`, no `RestartPreventExitStatus=`");
});
