// Everything that a user can meet by name has its place in the documentation.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { Counter } from "../../assembly/shared/counters.ts";
import { FlowState } from "../../assembly/shared/layout/flow.ts";
import { DropReason } from "../../assembly/shared/verdicts.ts";
import { parseByteSize } from "../../src/base/byte-size.ts";
import { parseDuration } from "../../src/base/duration.ts";
import { allCommands } from "../../src/cli/commands.ts";
import { manPages } from "../../src/cli/man-pages.ts";
import { ROUTES } from "../../src/control/api/api.ts";
import { parseConfig } from "../../src/control/config/config.ts";
import { configSchema } from "../../src/control/config/config-schema.ts";
import { KERNEL_DROPS } from "../../src/control/observe/kernel-drops.ts";
import { NetmanagerInstallation } from "../../src/node/netmanager-installation.ts";
import { filesBelow, text } from "../support/source-files.ts";

const COMMANDS = await allCommands();
const COUNTERS = text("docs/counters.md");
const CONTROL_API = text("docs/control-api.md");
const README = text("README.md");
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FILES = filesBelow("");

/** Keys of a numeric enum that stand for something: neither `none` nor the closing `count`. */
function keysOf(numericEnum: object): string[] {
  return Object.keys(numericEnum).filter((key) => !/^\d+$/.test(key) && key !== "none" && key !== "count");
}

/** First columns of the tables below a heading. */
function tabulated(heading: string): string[] {
  const section = COUNTERS.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  return [...section.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1] ?? "");
}

test("docs/counters.md describes every counter, and no other", () => {
  expect(tabulated("Counters").sort()).toEqual(keysOf(Counter).sort());
});

test("docs/counters.md describes every drop reason in the order in which they are checked", () => {
  expect(tabulated("Drop reasons")).toEqual(keysOf(DropReason));
});

test("docs/counters.md describes what the kernel drops", () => {
  expect(tabulated("What the kernel drops")).toEqual([...KERNEL_DROPS]);
});

test("docs/protocols.md names only drop reasons and settings that there are", () => {
  const page = text("docs/protocols.md");
  const settings = ["errors.icmp", "errors.reset", "tcp.clampMss", "tunnel.dscp", "tunnel.ecn", "probe.interval"];
  const named = [...page.matchAll(/`([A-Za-z.]+)`/g)].map((match) => match[1] ?? "");
  const timeouts = keysOf(FlowState).map((state) => `flows.timeouts.${state}`);
  const known = [...keysOf(DropReason), ...settings, ...timeouts, "code", "traceroute"];
  expect(named.filter((name) => !known.includes(name))).toEqual([]);
  expect(settings.filter((name) => !text("docs/configuration.md").includes(`\`${name}\``))).toEqual([]);
});

test("every source that a document names is there", () => {
  const documents = FILES.filter((path) => /^(?:docs\/.*|bench\/.*|[A-Z]+)\.md$/.test(path) && path !== "CHANGELOG.md");
  const named = documents.flatMap((path) => {
    return [...text(path).matchAll(/`([a-z-]+(?:\/[\w.-]+)+\.(?:ts|mjs))`/g)].map(([, name = ""]) => ({ path, name }));
  });
  expect(named.length).toBeGreaterThan(30);
  const isThere = (name: string): boolean => ["", "src/", "assembly/"].some((folder) => FILES.includes(folder + name));
  expect(named.filter(({ name }) => !isThere(name))).toEqual([]);
});

test("docs/control-api.md describes every route", () => {
  const missing = ROUTES.filter(({ method, path }) => !CONTROL_API.includes(`### ${method} ${path}\n`));
  expect(missing).toEqual([]);
});

test("docs/control-api.md describes every error code", () => {
  const catalogue = text("src/base/errors.ts").match(/const CATALOGUE = \{([\s\S]*?)\n\}/)?.[1] ?? "";
  const codes = [...catalogue.matchAll(/^ {2}"?([a-z-]+)"?:/gm)].map((match) => match[1] ?? "");
  expect(codes.length).toBeGreaterThan(10);
  expect(codes.filter((code) => !CONTROL_API.includes(`\`${code}\``))).toEqual([]);
});

test("docs/commands.md names every command, and no other", () => {
  const named = [...text("docs/commands.md").matchAll(/^\| `sapwood ((?:key|policy|engine) \w+|[\w-]+)/gm)];
  expect(named.map((match) => match[1]).sort()).toEqual(COMMANDS.map((command) => command.name).sort());
});

test("package.json names the manual page of every command, so that npm installs it", () => {
  const { man } = JSON.parse(text("package.json")) as { man: string[] };
  const pages = manPages("0.0.0", "2026-01-01");
  expect([...man].sort()).toEqual([...pages.keys()].map((name) => `dist/man/man1/${name}`).sort());
});

describe("README.md", () => {
  const LINES_MAX = 150;
  const WIDTH_MAX = 160;

  test("is short", () => {
    const lines = README.split("\n");
    expect(lines.length).toBeLessThanOrEqual(LINES_MAX);
    expect(lines.filter((line) => line.length > WIDTH_MAX)).toEqual([]);
  });

  test("runs the program by its first command and the tests by its second", () => {
    const blocks = [...README.matchAll(/^```\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? "");
    expect(blocks.slice(0, 2)).toEqual(["npm ci && npm start\n", "npm test\n"]);
  });

  test("names only scripts and commands that there are", () => {
    const { scripts } = JSON.parse(text("package.json")) as { scripts: Record<string, string> };
    const builtIn = ["ci", "install", "pack"];
    const runs = [...README.matchAll(/npm (?:run )?([a-z:]+)/g)].map((match) => match[1] ?? "");
    expect(runs.filter((name) => !builtIn.includes(name) && !Object.hasOwn(scripts, name))).toEqual([]);
    const known = COMMANDS.map((command) => command.name);
    const commands = [...README.matchAll(/`sapwood ((?:key|policy|engine) \w+|\w+)/g)].map((match) => match[1] ?? "");
    expect(commands.filter((name) => !known.includes(name))).toEqual([]);
  });
});

test("docs/two-machines.md quotes the unit as it is", () => {
  const quoted = text("docs/two-machines.md").match(/```ini\n([\s\S]*?)```/)?.[1] ?? "";
  const unit = text("contrib/systemd/sapwood.service").split("\n");
  const lines = unit.filter((line) => !line.startsWith("#")).join("\n");
  expect(quoted.length).toBeGreaterThan(0);
  for (const part of quoted.trim().split("\n\n")) expect(lines.replaceAll("\n\n", "\n")).toContain(part);
});

test("both units for systemd start a daemon that ended again in the same way", () => {
  const root = mkdtempSync(join(tmpdir(), "sapwood-units-"));
  try {
    new NetmanagerInstallation(root).install();
    const other = readFileSync(join(root, "etc/systemd/system/netmanager.service"), "utf8").split("\n");
    const unit = text("contrib/systemd/sapwood.service").split("\n");
    const settings = ["StartLimitIntervalSec", "Restart", "RestartSec", "ExecStopPost"];
    const linesOf = (lines: readonly string[]) =>
      settings.map((name) => lines.find((line) => line.startsWith(`${name}=`)));
    expect(linesOf(unit)).toEqual(linesOf(other));
    expect(linesOf(unit)).not.toContain(undefined);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("the unit takes away what the proxy does not use, by the judgement of systemd itself", ({ skip }) => {
  const args = ["security", "--offline=true", "--no-pager", "contrib/systemd/sapwood.service"];
  const { error, status, stdout } = spawnSync("systemd-analyze", args, { encoding: "utf8", cwd: ROOT });
  if (error !== undefined) skip("systemd-analyze is not installed");
  expect(status, stdout).toBe(0);
  expect(Number(/exposure level for sapwood\.service: ([\d.]+)/.exec(stdout)?.[1])).toBeLessThan(4); // "OK"
});

describe("docs/configuration.md", () => {
  const page = text("docs/configuration.md");
  const rows = [...page.matchAll(/^\| (`[^|]+`) \| ([^|]+) \|/gm)].flatMap(([, fields = "", defaults = ""]) => {
    const values = defaults.split(", ");
    return [...fields.matchAll(/`([^`]+)`/g)].map((match, i) => ({
      field: match[1] ?? "",
      standsFor: match[1] === "ranges" ? defaults : (values[i] ?? defaults),
    }));
  });

  test("describes every field of the configuration, and no other", () => {
    const schema = z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" });
    expect(rows.map(({ field }) => field).sort()).toEqual(fieldsOf(schema, "").sort());
  });

  const { capacities, ...config } = parseConfig("node: { id: a, underlay: { address: 192.0.2.1 } }", "minimal.yaml");
  const actual = { ...config, tables: capacities, ranges: config.ranges.map((range) => range.text).join(", ") };
  const fixed = rows.filter(
    ({ field, standsFor }) => !field.includes("[]") && !/^(?:required|none|the )/.test(standsFor),
  );

  test.each(fixed)("$field is $standsFor by default", ({ field, standsFor }) => {
    const value = field.split(".").reduce<unknown>((part, key) => Reflect.get(Object(part), key), actual);
    expect([standsFor, String(parseDuration(standsFor)), String(parseByteSize(standsFor))]).toContain(String(value));
  });

  test.each([
    ["its example", page],
    ["the example in README.md", README],
  ])("%s is a good configuration", (_where, document) => {
    const example = document.match(/```yaml\n([\s\S]*?)```/)?.[1] ?? "";
    const { tables } = parseConfig(example, "example.yaml");
    expect(tables.services.map((service) => service.name)).toEqual(["a", "b"]);
  });
});

/** Paths of the leaves of a JSON schema; a list is `name[]` when it holds objects, NAME stands for the user's names. */
function fieldsOf(schema: z.core.JSONSchema._JSONSchema, path: string): string[] {
  if (typeof schema === "boolean") return [path];
  const { properties, items, additionalProperties: named } = schema;
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([key, part]) => fieldsOf(part, path === "" ? key : `${path}.${key}`));
  }
  if (typeof named === "object") return fieldsOf(named, `${path}.NAME`);
  const isListOfObjects = typeof items === "object" && !Array.isArray(items) && items.properties !== undefined;
  return isListOfObjects ? fieldsOf(items, `${path}[]`) : [path];
}

describe("links", () => {
  const pages = FILES.filter((path) => path.endsWith(".md"));

  test.each(pages)("%s points to files that exist", (page) => {
    expect(linksOf(page).filter((path) => !FILES.some((file) => file === path || file.startsWith(`${path}/`)))).toEqual(
      [],
    );
  });

  test("SECURITY.md names tests that exist", () => {
    const named = [...text("SECURITY.md").matchAll(/`(test\/[^`]+)`/g)].map((match) => match[1] ?? "");
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((path) => !FILES.includes(path))).toEqual([]);
  });

  test("a document of the package points to files of the package", () => {
    const packed = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      encoding: "utf8",
      cwd: ROOT,
    });
    const [tarball]: { files: { path: string }[] }[] = JSON.parse(packed.stdout);
    const files = tarball?.files.map(({ path }) => path) ?? [];
    const documents = files.filter((path) => path.endsWith(".md"));
    expect(documents).toEqual(expect.arrayContaining(["README.md", "SECURITY.md", "CHANGELOG.md", "docs/counters.md"]));
    const dead = documents.flatMap((page) =>
      linksOf(page)
        .filter((path) => !files.some((file) => file === path || file.startsWith(`${path}/`)))
        .map((path) => `${page} points to ${path}`),
    );
    expect(dead).toEqual([]);
  });
});

/** Paths, from the repository's root, to which a page's relative links lead. */
function linksOf(page: string): string[] {
  const targets = [...text(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((match) => match[1] ?? "");
  return targets.map((target) =>
    decodeURIComponent(new URL(target, `file:///${page}`).pathname)
      .slice(1)
      .replace(/\/$/, ""),
  );
}
