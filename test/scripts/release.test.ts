// The release script, in a repository of its own that has the files which the script reads and writes. Its `check` and
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
  writeFileSync(join(cwd, "package.json"), JSON.stringify({ ...manifest, scripts: { check, test } }, undefined, 2));
}

function release(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["scripts/release.mjs", ...args], {
    cwd: clone,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

test("a release sets the version everywhere, dates the changes, commits and tags, and pushes nothing", () => {
  const result = release("9.8.7");
  expect(result).toMatchObject({ status: 0, stderr: "" });
  expect(result.stdout).toContain("Tagged v9.8.7. To publish it: git push origin main v9.8.7");
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

test("--dry-run checks and tests, and changes nothing", () => {
  const before = git(clone, "rev-parse", "HEAD");
  const result = release("9.8.7", "--dry-run");
  expect(result).toMatchObject({ status: 0 });
  expect(result.stdout).toContain("Nothing was changed. Version 9.8.7 can be released.");
  expect(existsSync(join(clone, "test.ran"))).toBe(true);
  expect([git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain"), git(clone, "tag")]).toEqual([
    ...[before, "", ""],
  ]);
});

describe("a release is refused, and nothing is changed,", () => {
  const cases: readonly (readonly [why: string, prepare: () => void, args: readonly string[], sentence: string])[] = [
    ["without a version", () => undefined, [], 'expected a version such as 0.2.0, found ""'],
    ["for what is no version", () => undefined, ["v1"], 'expected a version such as 0.2.0, found "v1"'],
    ["with words that it does not know", () => undefined, ["1.0.0", "--push"], "found --push"],
    ["of a tree with changes", () => writeFileSync(join(clone, "new.txt"), ""), ["9.8.7"], "found\n?? new.txt"],
    ["of another branch", () => git(clone, "checkout", "--quiet", "-b", "other"), ["9.8.7"], "found other"],
    ["a second time", () => git(clone, "tag", "v9.8.7"), ["9.8.7"], "found the tag v9.8.7"],
    ["without changes to tell", () => withChangelog("## [Unreleased]\n\n## [0.0.1]\n"), ["9.8.7"], "found none"],
    [
      "when a check fails",
      () => withFailing("check"),
      ["9.8.7"],
      "expected `npm run check` to pass, found exit status",
    ],
    ["when a test fails", () => withFailing("test"), ["9.8.7"], "expected `npm run test` to pass, found exit status"],
  ];
  test.each(cases)("%s", (_why, prepare, args, sentence) => {
    prepare();
    const before = [git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain"), git(clone, "tag")];
    const { status, stderr } = release(...args);
    expect(status).toBe(1);
    expect(stderr).toContain(sentence);
    expect([git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain"), git(clone, "tag")]).toEqual(before);
  });

  function withChangelog(text: string): void {
    writeFileSync(join(clone, "CHANGELOG.md"), text);
    commitAll(clone);
  }

  function withFailing(script: "check" | "test"): void {
    withScripts(clone, script === "check" ? "false" : "true", "false");
    commitAll(clone);
  }
});
