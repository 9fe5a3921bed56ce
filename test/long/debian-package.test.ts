// The Debian package, really installed by dpkg in a copy of this machine: started, upgraded, removed and purged.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SCRIPT = join(ROOT, "test/support/debian-chroot.sh");
const PROGRAMS = ["dpkg-deb", "deb-systemd-helper", "unshare", "chroot", "socat", "systemctl"];
const folder = mkdtempSync(join(tmpdir(), "sapwood-package-"));
const missing = whatIsMissing();

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe(missing === undefined ? "the Debian package" : `the Debian package (skipped: ${missing})`, () => {
  test.skipIf(missing !== undefined)(
    "installs, starts, tells systemd, upgrades, and is purged without a trace",
    () => {
      const [first = ""] = run("node", ["scripts/deb.mjs", folder]).trim().split("\n").slice(-1);
      const next = nextVersion(first);
      const place = join(folder, "machine");
      mkdirSync(place);
      const args = ["--mount", "--net", "--pid", "--fork", "--kill-child", "bash", SCRIPT, place, first, next];
      const found = Object.fromEntries(
        run("unshare", args)
          .trim()
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
      );
      const { version, man } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
      expect(found).toEqual({
        installed: `ii ${version}`,
        enabled: "/lib/systemd/system/sapwood.service",
        version,
        pages: String(man.length),
        completions: "3",
        sums: "right",
        modules: "0",
        doctor: '{"ok":true',
        ready: "1",
        asked: "1",
        ended: "0",
        notified:
          "FDNAME=tun-0 FDNAME=tunnel-0 FDPOLL=0 FDSTORE=1 FDSTOREREMOVE=1 READY=1 STATUS=node-a serves packets STOPPING=1 WATCHDOG=1 ",
        upgraded: `ii ${version}+1`,
        setting: "SAPWOOD_LOG_LEVEL=debug",
        configuration: "kept",
        stillDisabled: "yes",
        removed: expect.stringMatching(/^rc /),
        program: "gone",
        settingAfterRemoval: "SAPWOOD_LOG_LEVEL=debug",
        purged: "none",
        left: "",
      });
    },
    600_000,
  );
});

/** The same package by another version. */
function nextVersion(file: string): string {
  const extracted = join(folder, "next");
  run("dpkg-deb", ["-R", file, extracted]);
  const control = join(extracted, "DEBIAN/control");
  writeFileSync(control, readFileSync(control, "utf8").replace(/^(Version: .*)$/m, "$1+1"));
  const next = join(folder, "next.deb");
  run("dpkg-deb", ["--root-owner-group", "-Znone", "--build", extracted, next]);
  return next;
}

function run(program: string, args: readonly string[]): string {
  // To compress it well would be most of the work.
  const env = { ...process.env, DPKG_DEB_COMPRESSOR_LEVEL: "0" };
  return execFileSync(program, args, { encoding: "utf8", cwd: ROOT, env, maxBuffer: 2 ** 26 });
}

function whatIsMissing(): string | undefined {
  if (process.geteuid?.() !== 0) return "it needs root";
  const absent = PROGRAMS.find((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0);
  if (absent !== undefined) return `${absent} is not installed`;
  const mounting =
    'mount -t tmpfs none "$0" && mkdir "$0/u" "$0/w" "$0/r" && mount -t overlay none -o "lowerdir=/,upperdir=$0/u,workdir=$0/w" "$0/r"';
  const place = join(folder, "try");
  mkdirSync(place);
  return spawnSync("unshare", ["--mount", "sh", "-c", mounting, place]).status === 0
    ? undefined
    : "no overlay over / can be mounted";
}
