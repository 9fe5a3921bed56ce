// What `npm version` runs besides the checks and the tests; package.json says when.
//   node scripts/release.mjs check   is there something to release: changes in CHANGELOG.md, on main, in a clean work tree
//   node scripts/release.mjs write   gives the section "Unreleased" the new version and the date, and guides its tarball
// npm itself sets the version, commits and tags.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const CHANGELOG = "CHANGELOG.md";
const UNRELEASED = "## [Unreleased]\n";
/** Guides tell the name of the tarball that `npm pack` makes. */
const GUIDE = "docs/two-machines.md";
const TARBALL = /sapwood-\d+\.\d+\.\d+(?:-[\w.]+)?\.tgz/g;

/** From npm; undefined in `npm run preversion`. */
const version = process.env.npm_new_version;
const [before, after = ""] = readFileSync(CHANGELOG, "utf8").split(UNRELEASED);
if (process.argv[2] === "write") write();
else check();

function check() {
  const branch = git("rev-parse", "--abbrev-ref", "HEAD");
  if (branch !== "main") stop(`expected to be on the branch main, found ${branch}`);
  const changed = git("status", "--porcelain");
  if (changed !== "") stop(`expected a work tree without changes, found\n${changed}`);
  const known = version === undefined ? "" : git("tag", "--list", `v${version}`);
  if (known !== "") stop(`expected a version that is not released, found the tag ${known}`);
  if (!/^\s*### /.test(after)) stop(`expected changes under [Unreleased] in ${CHANGELOG}, found none`);
}

function write() {
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(CHANGELOG, `${before}${UNRELEASED}\n## [${version}] - ${date}\n${after}`);
  writeFileSync(GUIDE, readFileSync(GUIDE, "utf8").replaceAll(TARBALL, `sapwood-${version}.tgz`));
  git("add", CHANGELOG, GUIDE);
}

function git(...args) {
  return execFileSync("git", args, { encoding: "utf8" }).trim();
}

function stop(why) {
  process.stderr.write(`release: ${why}\n`);
  process.exit(1);
}
