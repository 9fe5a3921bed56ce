// Builds dist/: the host code with tsc, and in fewer files with esbuild, as it starts; the live page with esbuild; the
// WebAssembly modules with asc and wasm-opt. As many at once as there are processors.
//
//   node scripts/build.mjs               builds everything
//   node scripts/build.mjs --if-needed   builds what is older than its sources; in an installed package, which has no
//                                    sources, that is nothing, so that no compiler is needed there
import { spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const MAN_FOLDER = "dist/man/man1";
const PAGE_FOLDER = "dist/page";
const PROGRAM_FOLDER = "dist/program";
/**
 * What a start runs: the program, and the thread of a worker, which is found by `new URL("./worker.js", import.meta.url)`;
 * and the process that reads long texts.
 */
const PROGRAM_ENTRIES = ["src/start.ts", "src/dataplane/worker/worker.ts", "src/control/config/text-process.ts"];
/** Of the folders in dist, those that the host's build does not write. */
const OTHERS_FOLDERS = ["wasm", "page", "program"];
/** Packages that stay outside of the program: one that is native, and those that a start does not need. */
const OUTSIDE = ["koffi", "mqtt", "pino-pretty", "prom-client"];
/** Licence files of a package by the names that are usual. */
const LICENSE_NAME = /^licen[cs]e(?:\.md|\.txt)?$/i;
const POLICY_PAGES_MAX = 256; // 16 MiB: what one policy module may keep for itself
const SHARED_PAGES_MAX = 65536; // 4 GiB: the import accepts every memory that the host may create
/**
 * asc gives up inlining at 70 instructions of a function with several callers and at 200 of one with a single caller;
 * a packet then pays for a dozen calls. Every module goes through the optimizer once more with more generous limits.
 */
const OPTIMIZATIONS = [
  "-O3",
  ...["--one-caller-inline-max-function-size=5000", "--flexible-inline-max-function-size=500"],
  ...["--enable-simd", "--enable-threads", "--enable-bulk-memory", "--enable-mutable-globals"],
  ...["--enable-sign-ext", "--enable-nontrapping-float-to-int"],
];

/** A thing to build: its output (whose time says when), its sources, and how. */
function targets() {
  const compilers = ["assemblyscript", "binaryen"].map((name) => `node_modules/${name}/package.json`);
  const settings = ["scripts/build.mjs", "asconfig.json", ...compilers];
  const engineSources = readdirSync(join(ROOT, "assembly"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== "policy")
    .map(({ name }) => `assembly/${name}`);
  const onSharedMemory = [
    ...["--importMemory", "--noExportMemory", "--sharedMemory"],
    ...["--initialMemory", "1", "--maximumMemory", String(SHARED_PAGES_MAX)],
  ];
  const policies = readdirSync(join(ROOT, "assembly/policy"))
    .filter((file) => file.endsWith(".ts") && file !== "sdk.ts")
    .map((file) => file.slice(0, -3));
  return [
    wasmModule(
      "assembly/engine.ts",
      "dist/wasm/engine.wasm",
      [...settings, ...engineSources],
      onSharedMemory,
      requireStateless,
    ),
    wasmModule(
      "assembly/adoption.ts",
      "dist/wasm/adoption.wasm",
      [...settings, ...engineSources],
      onSharedMemory,
      requireStateless,
    ),
    wasmModule(
      "assembly/workbench.ts",
      "dist/wasm/workbench.wasm",
      [...settings, ...engineSources],
      onSharedMemory,
      requireStateless,
    ),
    {
      output: "dist/.host",
      sources: [
        "package.json",
        "tsconfig.json",
        "tsconfig.build.json",
        "src",
        "bench",
        "test/support",
        "assembly/shared",
      ],
      build: buildHost,
    },
    {
      output: `${PROGRAM_FOLDER}/start.js`,
      sources: [
        ...["scripts/build.mjs", "package.json", "tsconfig.json", "src", "assembly/shared"],
        "node_modules/.package-lock.json",
      ],
      build: buildProgram,
    },
    {
      output: `${PAGE_FOLDER}/licenses.txt`,
      sources: [
        ...["scripts/build.mjs", "src/page", "src/model/page-reports.ts"],
        ...["preact", "uplot", "esbuild"].map((name) => `node_modules/${name}/package.json`),
      ],
      build: buildPage,
    },
    ...policies.map((name) =>
      wasmModule(
        `assembly/policy/${name}.ts`,
        `dist/wasm/policies/${name}.wasm`,
        [...settings, "assembly/policy", "assembly/shared"],
        [...["--initialMemory", "1", "--maximumMemory", String(POLICY_PAGES_MAX)]],
      ),
    ),
  ];
}

/** Host code. tsc also emits what has type errors, so the mark is set only when there were none. */
async function buildHost(startedMs) {
  await run(tool("typescript", "tsc"), ["-p", "tsconfig.build.json"]);
  await writeManPages();
  for (const folder of readdirSync(join(ROOT, "dist"))) {
    if (!OTHERS_FOLDERS.includes(folder) && folder !== ".host") removeOlder(join(ROOT, "dist", folder), startedMs);
  }
  writeFileSync(join(ROOT, "dist/.host"), "");
}

/** From what the host code just built says of its commands; dated as the newest release, so that builds are alike. */
async function writeManPages() {
  const { manPages } = await import(pathToFileURL(join(ROOT, "dist/src/cli/man-pages.js")).href);
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const changes = readFileSync(join(ROOT, "CHANGELOG.md"), "utf8");
  const date = /^## \[\d[^\]]*\] - ([\d-]+)$/m.exec(changes)?.[1] ?? "";
  mkdirSync(join(ROOT, MAN_FOLDER), { recursive: true });
  for (const [name, page] of manPages(version, date)) writeFileSync(join(ROOT, MAN_FOLDER, name), page);
}

/**
 * The program that dist/src/main.js starts, with the npm packages that it needs: the same code in few files, because
 * most of what a start costs is finding and reading files.
 */
async function buildProgram() {
  const build = await bundler();
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: PROGRAM_ENTRIES,
    outdir: PROGRAM_FOLDER,
    entryNames: "[name]",
    chunkNames: "[name]-[hash]",
    bundle: true,
    splitting: true, // what is imported within a function stays in a file of its own
    external: OUTSIDE,
    platform: "node",
    format: "esm",
    target: "node20.19",
    // Packages in CommonJS ask for Node's own modules with it.
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    sourcemap: "linked",
    sourcesContent: false,
    legalComments: "none",
    metafile: true,
    logLevel: "silent",
    plugins: [{ name: "places", setup: (setup) => setup.onLoad({ filter: /\/src\/.*\.ts$/ }, inPlaceOf) }],
  });
  writeFileSync(join(ROOT, PROGRAM_FOLDER, "licenses.txt"), licensesOf(metafile));
  const written = new Set([...Object.keys(metafile.outputs), `${PROGRAM_FOLDER}/licenses.txt`]);
  for (const name of readdirSync(join(ROOT, PROGRAM_FOLDER))) {
    if (!written.has(`${PROGRAM_FOLDER}/${name}`)) rmSync(join(ROOT, PROGRAM_FOLDER, name));
  }
}

/**
 * The text of a source in which import.meta.url is where tsc puts it: threads and data are found from there, but for
 * the entries of the program, which are in its folder.
 */
function inPlaceOf({ path }) {
  const source = relative(ROOT, path);
  const place = `new URL(${JSON.stringify(`../${source.replace(/\.ts$/, ".js")}`)}, import.meta.url).href`;
  const contents = readFileSync(path, "utf8").replace(
    /new URL\("\.\/([\w-]+)\.js", import\.meta\.url\)|import\.meta\.url/g,
    (found, name) =>
      PROGRAM_ENTRIES.includes(join(dirname(source), `${name}.ts`)) ? found : found.replace("import.meta.url", place),
  );
  return { contents, loader: "ts" };
}

async function bundler() {
  const { build } = await import("esbuild").catch(() => {
    throw new Error("the package esbuild is needed to build and is not installed; run: npm ci");
  });
  return build;
}

/** One script and one style sheet, with all that they need, and the licences of what is in them. */
async function buildPage() {
  const build = await bundler();
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [
      { in: "src/page/main.tsx", out: "app" },
      { in: "src/page/page.css", out: "app" },
    ],
    outdir: PAGE_FOLDER,
    bundle: true,
    minify: true,
    metafile: true,
    format: "esm",
    target: ["es2022", "chrome111", "firefox113", "safari16.4"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    logLevel: "silent",
  });
  for (const name of ["index.html", "icon.svg"])
    copyFileSync(join(ROOT, "src/page", name), join(ROOT, PAGE_FOLDER, name));
  writeFileSync(join(ROOT, PAGE_FOLDER, "licenses.txt"), licensesOf(metafile));
}

/** Of the packages that are inside of what esbuild made. */
function licensesOf({ inputs }) {
  const inside = Object.keys(inputs).map((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0]);
  const folders = [...new Set(inside.filter((folder) => folder !== undefined))].sort();
  return folders.map(licenseOf).join("\n\n");
}

function licenseOf(path) {
  const folder = join(ROOT, path);
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((each) => LICENSE_NAME.test(each));
  if (file === undefined) throw new Error(`the package ${name}, which the build contains, has no licence file`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
}

function wasmModule(entry, output, sources, options, verify = () => {}) {
  const build = async () => {
    // A reader never sees half a module: it is written under another name, checked, then renamed.
    const draft = `${output}.${process.pid}`;
    try {
      await run(tool("assemblyscript", "asc"), [entry, "--config", "asconfig.json", ...options, "--outFile", draft]);
      await run(tool("binaryen", "wasm-opt"), [draft, ...OPTIMIZATIONS, "--output", draft]);
      verify(output, readFileSync(join(ROOT, draft)));
      renameSync(join(ROOT, draft), join(ROOT, output));
    } finally {
      rmSync(join(ROOT, draft), { force: true });
    }
  };
  return { output, sources: [entry, ...sources], build };
}

/** Data segments and start functions run again in each worker, over the state of the others: there must be none. */
function requireStateless(name, bytes) {
  const forbidden = new Map([
    [8, "a start function"],
    [11, "data segments"],
  ]);
  let at = 8; // after magic and version
  while (at < bytes.length) {
    const id = bytes[at++];
    let size = 0;
    let shift = 0;
    let byte;
    do {
      byte = bytes[at++];
      size += (byte & 0x7f) * 2 ** shift;
      shift += 7;
    } while (byte & 0x80);
    if (forbidden.has(id))
      throw new Error(`${name} has ${forbidden.get(id)}; modules on the shared memory must have none`);
    at += size;
  }
}

/** The command-line script of a package, named by its own package.json. */
function tool(packageName, command) {
  const require = createRequire(import.meta.url);
  let manifestFile;
  try {
    manifestFile = require.resolve(`${packageName}/package.json`);
  } catch {
    throw new Error(`the package ${packageName} is needed to build and is not installed; run: npm ci`);
  }
  return join(dirname(manifestFile), JSON.parse(readFileSync(manifestFile, "utf8")).bin[command]);
}

function run(script, args) {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [script, ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    child.stdout.on("data", (part) => (text += part));
    child.stderr.on("data", (part) => (text += part));
    child.on("error", fail);
    child.on("close", (code, signal) =>
      code === 0 ? done() : fail(new Error(text.trim() || `ended with ${signal ?? code}`)),
    );
  });
}

/** Time of the last change in a file, or in a folder with all that is in it (a removed file changes its folder). */
function lastChangeMs(path) {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return Number.POSITIVE_INFINITY;
  if (!status.isDirectory()) return status.mtimeMs;
  return Math.max(status.mtimeMs, ...readdirSync(path).map((name) => lastChangeMs(join(path, name))));
}

function isFresh(target) {
  const built = statSync(join(ROOT, target.output), { throwIfNoEntry: false });
  return built !== undefined && target.sources.every((source) => lastChangeMs(join(ROOT, source)) < built.mtimeMs);
}

/** Outputs whose source is gone: the compiler rewrites all others. */
function removeOlder(folder, startedMs) {
  const clockGrainMs = 1000;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && statSync(path).mtimeMs < startedMs - clockGrainMs) rmSync(path);
  }
}

async function buildAll(queue) {
  let failed = 0;
  const worker = async () => {
    for (let target = queue.shift(); target !== undefined; target = queue.shift()) {
      const startedMs = Date.now();
      try {
        mkdirSync(dirname(join(ROOT, target.output)), { recursive: true });
        await target.build(startedMs);
        // Sources saved while the compiler ran are newer than what it made of them.
        utimesSync(join(ROOT, target.output), startedMs / 1000, startedMs / 1000);
        console.log(
          `built ${target.output === "dist/.host" ? "dist/src" : target.output} (${Date.now() - startedMs} ms)`,
        );
      } catch (error) {
        failed += 1;
        console.error(
          `${target.output === "dist/.host" ? "host code" : target.output} was not built:\n${error.message}\n`,
        );
      }
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return failed;
}

const ifNeeded = process.argv.includes("--if-needed");
const hasSources = existsSync(join(ROOT, "src")) && existsSync(join(ROOT, "assembly"));
if (!hasSources) {
  if (!existsSync(join(ROOT, "dist/src/main.js"))) {
    console.error(
      "there are neither sources (src, assembly) nor a finished build (dist) here; install the package again",
    );
    process.exit(1);
  }
} else {
  const failed = await buildAll(targets().filter((target) => !ifNeeded || !isFresh(target)));
  if (failed > 0) process.exit(1);
}
