// `node scripts/release.mjs VERSION`: makes a release of what is committed on main. Sets the version, gives the section
// "Unreleased" of CHANGELOG.md its number and date, commits and tags. Pushes nothing: look at it first.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CHANGELOG = `${ROOT}CHANGELOG.md`;
const UNRELEASED = "## [Unreleased]\n";

const [version = ""] = process.argv.slice(2);
if (!/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)) stop(`expected a version such as 0.2.0, found "${version}"`);
const branch = git("rev-parse", "--abbrev-ref", "HEAD");
if (branch !== "main") stop(`expected to be on the branch main, found ${branch}`);
if (git("status", "--porcelain") !== "") stop("expected a work tree without changes");
if (git("tag", "--list", `v${version}`) !== "")
  stop(`expected a version that is not released, found the tag v${version}`);
const text = readFileSync(CHANGELOG, "utf8");
const [before, after = ""] = text.split(UNRELEASED);
if (before === text || !/^\s*### /.test(after)) stop("expected changes under [Unreleased] in CHANGELOG.md, found none");

const date = new Date().toISOString().slice(0, 10);
writeFileSync(CHANGELOG, `${before}${UNRELEASED}\n## [${version}] - ${date}\n${after}`);
execFileSync("npm", ["version", version, "--no-git-tag-version"], { cwd: ROOT, stdio: "inherit" });
git("commit", "--all", "--message", `release: ${version}`);
git("tag", "--annotate", `v${version}`, "--message", `Sapwood ${version}`);
process.stdout.write(`Tagged v${version}. To publish it: git push origin main v${version}\n`);

function git(...args) {
  return execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).trim();
}

function stop(why) {
  process.stderr.write(`release: ${why}\n`);
  process.exit(1);
}
