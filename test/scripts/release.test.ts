// A release by `npm version`, in a repository of its own that has the files which it reads and writes. Its `check` and
// `test` leave a mark instead of taking minutes.

import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COPIED = ["scripts/release.mjs", "package.json", "package-lock.json", "docs/two-machines.md", ".npmrc"];
const CHANGES = "# Changelog\n\n## [Unreleased]\n\n### Added\n- A thing.\n\n## [0.0.1]\n\nFirst.\n";

let folder: string;
let origin: string;
let clone: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-release-"));
  origin = join(folder, "origin");
  for (const file of COPIED) {
    mkdirSync(dirname(join(origin, file)), { recursive: true });
    copyFileSync(join(ROOT, file), join(origin, file));
  }
  writeFileSync(join(origin, "CHANGELOG.md"), CHANGES);
  writeFileSync(join(origin, ".gitignore"), "*.ran\n");
  withScripts(origin, "touch check.ran", "touch test.ran");
  git(origin, "init", "--quiet", "--initial-branch=main");
  commitAll(origin);
});

afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(() => {
  clone = mkdtempSync(join(folder, "clone-"));
  git(folder, "clone", "--quiet", origin, clone);
  git(clone, "config", "user.name", "Somebody");
  git(clone, "config", "user.email", "somebody@example.invalid");
});

function git(cwd: string, ...args: readonly string[]): string {
  return execFileSync("git", args, { cwd, encoding: "utf8" }).trim();
}

function commitAll(cwd: string): void {
  git(cwd, "add", "--all");
  git(cwd, "-c", "user.name=Somebody", "-c", "user.email=somebody@example.invalid", "commit", "--quiet", "-m", "state");
}

function read(file: string): string {
  return readFileSync(join(clone, file), "utf8");
}

function withScripts(cwd: string, check: string, test: string): void {
  const manifest = JSON.parse(readFileSync(join(cwd, "package.json"), "utf8"));
  const { preversion, version } = manifest.scripts;
  const scripts = { check, test, preversion, version };
  writeFileSync(join(cwd, "package.json"), JSON.stringify({ ...manifest, scripts }, undefined, 2));
}

function npm(...args: readonly string[]) {
  return spawnSync("npm", args, { cwd: clone, encoding: "utf8" });
}

test("a release sets the version everywhere, dates the changes, commits and tags, and pushes nothing", () => {
  expect(npm("version", "9.8.7")).toMatchObject({ status: 0, stderr: "" });
  expect(["check.ran", "test.ran"].filter((mark) => !existsSync(join(clone, mark)))).toEqual([]);
  expect(JSON.parse(read("package.json")).version).toBe("9.8.7");
  const lock = JSON.parse(read("package-lock.json"));
  expect([lock.version, lock.packages[""].version]).toEqual(["9.8.7", "9.8.7"]);
  expect(read("CHANGELOG.md")).toMatch(
    /\n## \[Unreleased\]\n\n## \[9\.8\.7\] - \d{4}-\d\d-\d\d\n\n### Added\n- A thing\.\n/,
  );
  expect(read("docs/two-machines.md")).toContain("sapwood-9.8.7.tgz");
  expect(git(clone, "status", "--porcelain")).toBe("");
  expect(git(clone, "log", "-1", "--format=%s %D")).toBe("release: 9.8.7 HEAD -> main, tag: v9.8.7");
  expect(git(clone, "cat-file", "-t", "v9.8.7")).toBe("tag"); // annotated
  expect(git(origin, "tag")).toBe("");
});

test("`npm run preversion` checks and tests, and changes nothing", () => {
  const before = git(clone, "rev-parse", "HEAD");
  expect(npm("run", "preversion")).toMatchObject({ status: 0 });
  expect(existsSync(join(clone, "test.ran"))).toBe(true);
  expect([git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain"), git(clone, "tag")]).toEqual([
    ...[before, "", ""],
  ]);
});

describe("a release is refused, and nothing is changed,", () => {
  const cases: readonly (readonly [why: string, prepare: () => void, sentence: string])[] = [
    ["of a tree with changes", () => writeFileSync(join(clone, "CHANGELOG.md"), `${CHANGES}more\n`), "not clean"],
    ["of a tree with new files", () => writeFileSync(join(clone, "new.txt"), ""), "found\n?? new.txt"],
    ["of another branch", () => git(clone, "checkout", "--quiet", "-b", "other"), "found other"],
    ["a second time", () => git(clone, "tag", "v9.8.7"), "found the tag v9.8.7"],
    ["of the version that it has", () => withVersion("9.8.7"), "Version not changed"],
    ["without changes to tell", () => withChangelog("## [Unreleased]\n\n## [0.0.1]\n"), "found none"],
    ["without a section for them", () => withChangelog("# Changelog\n\n## [0.0.1]\n\n### Added\n"), "found none"],
    ["when a check fails", () => withFailing("check"), "command failed"],
    ["when a test fails", () => withFailing("test"), "command failed"],
    ["when tests leave changes", () => withLeaving("left.txt"), "found\n?? left.txt"],
  ];
  test.each(cases)("%s", (_why, prepare, sentence) => {
    prepare();
    const state = () => [git(clone, "rev-parse", "HEAD"), git(clone, "diff"), git(clone, "tag")];
    const before = state();
    const { status, stderr } = npm("version", "9.8.7");
    expect(status).not.toBe(0);
    expect(stderr).toContain(sentence);
    expect(state()).toEqual(before);
  });

  function withChangelog(text: string): void {
    writeFileSync(join(clone, "CHANGELOG.md"), text);
    commitAll(clone);
  }

  function withVersion(version: string): void {
    const manifest = JSON.parse(read("package.json"));
    writeFileSync(join(clone, "package.json"), JSON.stringify({ ...manifest, version }));
    commitAll(clone);
  }

  function withFailing(script: "check" | "test"): void {
    withScripts(clone, script === "check" ? "false" : "true", "false");
    commitAll(clone);
  }

  function withLeaving(file: string): void {
    withScripts(clone, "true", `touch ${file}`);
    commitAll(clone);
  }
});
