#!/usr/bin/env node
// Makes a Debian package of what was built: node scripts/deb.mjs [FOLDER], by default dist/deb. The package has the npm
// packages that are needed at run time, so that nothing is fetched when it is installed. Needs dpkg-deb and gzip.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const PROGRAM_FOLDER = "usr/lib/sapwood";
/** Of package.json's `files`: what has places of its own, or is not needed by an installed program. */
const DOCUMENTS = [
  "README.md",
  "SECURITY.md",
  "CONTRIBUTING.md",
  "docs",
  "contrib",
  "bench/README.md",
  "bench/results",
];
const ELSEWHERE = [...DOCUMENTS, "CHANGELOG.md", "LICENSE", "dist/man"];
const CONFFILES = ["/etc/default/sapwood"];
const KIBIBYTE = 1024;

const manifest = JSON.parse(read("package.json"));
const output = resolve(process.argv[2] ?? join(ROOT, "dist/deb"));
const stage = mkdtempSync(join(tmpdir(), "sapwood-deb-"));
try {
  chmodSync(stage, 0o755);
  stageProgram();
  stageDocuments();
  stageSettings();
  stageControl();
  mkdirSync(output, { recursive: true });
  const file = join(output, `sapwood_${manifest.version}_${architecture()}.deb`);
  run("dpkg-deb", ["--root-owner-group", "-Zxz", "--build", stage, file]);
  console.log(file);
} finally {
  rmSync(stage, { recursive: true, force: true });
}

function stageProgram() {
  const own = manifest.files.filter((path) => !path.startsWith("!") && !ELSEWHERE.includes(path));
  for (const path of ["package.json", ...own]) copy(path, join(PROGRAM_FOLDER, path));
  for (const path of runtimePackages()) copy(path, join(PROGRAM_FOLDER, path));
  const main = manifest.bin.sapwood;
  chmodSync(join(stage, PROGRAM_FOLDER, main), 0o755);
  mkdirSync(join(stage, "usr/bin"), { recursive: true });
  symlinkSync(join("../lib/sapwood", main), join(stage, "usr/bin/sapwood"));
}

/** Paths of the installed packages that the program needs, nested ones included, as package-lock.json has them. */
function runtimePackages() {
  const { packages } = JSON.parse(read("package-lock.json"));
  return Object.entries(packages)
    .filter(([path, entry]) => path !== "" && !entry.dev && !path.startsWith("node_modules/@types/"))
    .map(([path]) => path)
    .filter((path) => existsSync(join(ROOT, path))); // optional ones are of other machines
}

function stageDocuments() {
  const folder = "usr/share/doc/sapwood";
  for (const path of DOCUMENTS) copy(path, join(folder, path));
  copy("LICENSE", join(folder, "copyright"));
  write(join(folder, "changelog.gz"), compressed(read("CHANGELOG.md")));
  for (const path of manifest.man) write(`usr/share/man/man1/${basename(path)}.gz`, compressed(read(path)));
  const completion = (shell) => run(process.execPath, [join(ROOT, manifest.bin.sapwood), "completion", shell]);
  write("usr/share/bash-completion/completions/sapwood", completion("bash"));
  write("usr/share/zsh/vendor-completions/_sapwood", completion("zsh"));
  write("usr/share/fish/vendor_completions.d/sapwood.fish", completion("fish"));
}

function stageSettings() {
  copy("contrib/systemd/sapwood.service", "lib/systemd/system/sapwood.service");
  mkdirSync(join(stage, "etc/sapwood"), { recursive: true });
  write(
    "etc/default/sapwood",
    `# Variables of sapwood.service (systemd.exec(5), EnvironmentFile). The node's own configuration is
# /etc/sapwood/node.yaml: /usr/share/doc/sapwood/docs/two-machines.md has one to begin with.
#SAPWOOD_LOG_LEVEL=debug
#SAPWOOD_LOG_FORMAT=json
`,
  );
}

function stageControl() {
  const files = filesBelow(stage);
  const sizes = files.map((path) => statSync(path).size);
  const sizeKibibytes = Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / KIBIBYTE);
  const sums = files.map((path) => `${md5(readFileSync(path))}  ${relative(stage, path)}\n`);
  write(
    "DEBIAN/control",
    `Package: sapwood
Version: ${manifest.version}
Architecture: ${architecture()}
Maintainer: ${maintainer()}
Installed-Size: ${sizeKibibytes}
Depends: nodejs (${manifest.engines.node.replace(">=", ">= ")}), iproute2, nftables, init-system-helpers (>= 1.54)
Recommends: wireguard-tools
Section: net
Priority: optional
Description: proxy of a semantic overlay network
 One virtual address per service and balancing policy: a client calls it with
 any protocol, and the proxy on the client's node picks an instance, rewrites
 the packets and tunnels them to the instance's node.
`,
  );
  write("DEBIAN/conffiles", `${CONFFILES.join("\n")}\n`);
  write("DEBIAN/md5sums", sums.join(""));
  for (const [name, text] of Object.entries(maintainerScripts())) {
    write(`DEBIAN/${name}`, `#!/bin/sh\n# ${name} of sapwood, see deb-${name}(5).\nset -e\n${text}`);
    chmodSync(join(stage, "DEBIAN", name), 0o755);
  }
}

/** As dh_installsystemd(1) writes them: the unit is enabled whether systemd runs or not. */
function maintainerScripts() {
  const unit = "sapwood.service";
  return {
    postinst: `if [ "$1" = configure ] || [ "$1" = abort-upgrade ]; then
  deb-systemd-helper unmask ${unit} >/dev/null || true
  # What an administrator disabled stays disabled.
  if deb-systemd-helper --quiet was-enabled ${unit}; then
    deb-systemd-helper enable ${unit} >/dev/null || true
  else
    deb-systemd-helper update-state ${unit} >/dev/null || true
  fi
  if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
    # Connections go on over a restart; without a configuration nothing is started.
    if [ -n "$2" ]; then action=restart; else action=start; fi
    deb-systemd-invoke "$action" ${unit} >/dev/null || true
  fi
fi
`,
    prerm: `if [ -d /run/systemd/system ] && [ "$1" = remove ]; then
  deb-systemd-invoke stop ${unit} >/dev/null || true
fi
`,
    postrm: `if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = remove ] && [ -x /usr/bin/deb-systemd-helper ]; then
  deb-systemd-helper mask ${unit} >/dev/null || true
fi
if [ "$1" = purge ]; then
  if [ -x /usr/bin/deb-systemd-helper ]; then
    deb-systemd-helper purge ${unit} >/dev/null || true
    deb-systemd-helper unmask ${unit} >/dev/null || true
  fi
  rm -rf /etc/sapwood /var/lib/sapwood /run/sapwood
fi
`,
  };
}

function architecture() {
  return run("dpkg", ["--print-architecture"]).trim();
}

/** Of the last commit; of nobody in particular where there is none. */
function maintainer() {
  try {
    return run("git", ["-C", ROOT, "log", "-1", "--format=%an <%ae>"]).trim();
  } catch {
    return "sapwood maintainers <maintainers@localhost>";
  }
}

function copy(from, to) {
  const target = join(stage, to);
  mkdirSync(dirname(target), { recursive: true });
  const isWanted = (path) => !manifest.files.includes(`!${relative(ROOT, path)}`);
  cpSync(join(ROOT, from), target, { recursive: true, filter: isWanted });
}

function write(path, content) {
  const target = join(stage, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
}

function compressed(text) {
  return gzipSync(text, { level: 9 });
}

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function md5(bytes) {
  return createHash("md5").update(bytes).digest("hex");
}

function read(path) {
  return readFileSync(join(ROOT, path), "utf8");
}

function run(program, args) {
  return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}
