// `node scripts/release.mjs VERSION [--dry-run]`: makes a release of what is committed on main. Sees to a clean work tree
// and to changes in CHANGELOG.md, runs the checks and the tests, sets the version, gives the section "Unreleased" its
// number and date, commits and tags. Pushes nothing: look at it first. With --dry-run it stops before it writes anything.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CHANGELOG = `${ROOT}CHANGELOG.md`;
const UNRELEASED = "## [Unreleased]\n";
/** Guides tell the name of the tarball that `npm pack` makes. */
const GUIDE = `${ROOT}docs/two-machines.md`;
const TARBALL = /sapwood-\d+\.\d+\.\d+(?:-[\w.]+)?\.tgz/g;

const words = process.argv.slice(2);
const isDry = words.includes("--dry-run");
const [version = "", ...more] = words.filter((word) => word !== "--dry-run");
if (!/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)) stop(`expected a version such as 0.2.0, found "${version}"`);
if (more.length > 0) stop(`expected a version and no more than --dry-run, found ${more.join(" ")}`);
const branch = git("rev-parse", "--abbrev-ref", "HEAD");
if (branch !== "main") stop(`expected to be on the branch main, found ${branch}`);
const changed = git("status", "--porcelain");
if (changed !== "") stop(`expected a work tree without changes, found\n${changed}`);
const known = git("tag", "--list", `v${version}`);
if (known !== "") stop(`expected a version that is not released, found the tag ${known}`);
const text = readFileSync(CHANGELOG, "utf8");
const [before, after = ""] = text.split(UNRELEASED);
if (before === text || !/^\s*### /.test(after)) stop("expected changes under [Unreleased] in CHANGELOG.md, found none");
for (const script of ["check", "test"]) {
  const { status } = spawnSync("npm", ["run", script], { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) stop(`expected \`npm run ${script}\` to pass, found exit status ${status}`);
}
const left = git("status", "--porcelain");
if (left !== "") stop(`expected the tests to leave the work tree as it was, found\n${left}`);
if (isDry) {
  process.stdout.write(`Nothing was changed. Version ${version} can be released.\n`);
  process.exit(0);
}

const date = new Date().toISOString().slice(0, 10);
writeFileSync(CHANGELOG, `${before}${UNRELEASED}\n## [${version}] - ${date}\n${after}`);
writeFileSync(GUIDE, readFileSync(GUIDE, "utf8").replaceAll(TARBALL, `sapwood-${version}.tgz`));
execFileSync("npm", ["version", version, "--no-git-tag-version"], {
  cwd: ROOT,
  stdio: "inherit",
});
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
