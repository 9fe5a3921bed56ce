// The manual pages: what they hold, and what the programs that set them say of them.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allCommands } from "../../../src/cli/commands.ts";
import { manPages } from "../../../src/cli/man-pages.ts";
import { FAMILIES } from "../../../src/cli/program.ts";
import { escaped, line, prose, syntax } from "../../../src/cli/roff.ts";

const COMMANDS = await allCommands();
const PAGES = manPages("1.2.3", "2026-11-27");

function fileOf(name: string): string {
  return `${["sapwood", ...name.split(" ")].join("-")}.1`;
}

/** What an option or argument looks like on a page: "--socket <path>" -> "--socket path". */
function plain(flags: string): string {
  return flags.replace(/[<>]/g, "");
}

/** A page without fonts and escapes. */
function read(name: string): string {
  const page = PAGES.get(fileOf(name)) ?? "";
  return page.replace(/\\f[BIP]/g, "").replace(/\\(-|\((?:aq|dq|ti))/g, (_all, code: string) => PLAIN[code] ?? "?");
}
const PLAIN: Readonly<Record<string, string>> = { "-": "-", "(aq": "'", "(dq": '"', "(ti": "~" };

test("there is one for the program, and for each family and command", () => {
  const names = [...FAMILIES, ...COMMANDS].map(({ name }) => fileOf(name));
  expect([...PAGES.keys()].sort()).toEqual(["sapwood.1", ...names].sort());
});

test.each(COMMANDS.map(({ name }) => name))("that of %s has all that its help has", (name) => {
  const command = COMMANDS.find((one) => one.name === name);
  const page = read(name);
  expect(page).toContain(`\nsapwood ${name} [options]`);
  for (const argument of command?.arguments ?? []) expect(page).toContain(`.TP\n${argument.name}\n`);
  for (const { flags, choices } of command?.options ?? []) {
    expect(page).toContain(`.TP\n${plain(flags)}\n`);
    if (choices !== undefined) expect(page).toContain(`One of ${choices.join(", ")}.`);
  }
  for (const example of command?.examples ?? []) expect(page).toContain(`.TP\nsapwood ${example.line}\n`);
  expect(PAGES.get("sapwood.1")).toContain(escaped(fileOf(name).replace(/\.1$/, "")));
});

test("variables, files and exit statuses are those of the command", () => {
  const page = read("status");
  expect(page).toContain(".SH ENVIRONMENT\n.TP\nSAPWOOD_SOCKET\nWithout --socket: control socket of the proxy.\n");
  expect(page).toContain(".SH FILES\n.TP\n/run/sapwood/sapwood.sock\n");
  expect(read("check")).toContain(".SH FILES\n.TP\n/etc/sapwood/node.yaml\n");
  expect([...read("run").matchAll(/^(\d+)$/gm)].map(([status]) => status)).toEqual(["0", "1", "2", "70", "141"]);
  expect(read("completion")).not.toMatch(/ENVIRONMENT|FILES/);
});

test("they are the same whenever they are made", () => {
  expect(manPages("1.2.3", "2026-11-27")).toEqual(PAGES);
  for (const page of PAGES.values()) {
    expect(page).toMatch(/^\.TH [A-Z\\-]+ 1 "2026-11-27" "sapwood 1\.2\.3" "sapwood"$/m);
  }
});

const HOSTILE = "'a' \\n \"b\" `c` --d ^~ \\(aq é 😀\n.so /etc/passwd";

test("no text is taken for a request or an escape", () => {
  expect(line(".so /etc/passwd")).toBe("\\&.so /etc/passwd");
  expect(escaped(HOSTILE)).toBe(
    "\\(aqa\\(aq \\(rsn \\(dqb\\(dq \\(gac\\(ga \\-\\-d \\(ha\\(ti \\(rs(aq \\[u00E9] \\[u1F600] .so /etc/passwd",
  );
  expect(prose("see `a -b` or `")).toBe("see \\fBa \\-b\\fP or \\(ga");
  expect(syntax("-w, --watch [interval]")).toBe("\\fB\\-w\\fP, \\fB\\-\\-watch\\fP [\\fIinterval\\fP]");
});

function has(program: string): boolean {
  return spawnSync(program, ["--version"]).error === undefined;
}

describe("read by those who set them", () => {
  let folder: string;
  let files: string[];
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sapwood-man-"));
    files = [...PAGES].map(([name, page]) => {
      writeFileSync(join(folder, name), page);
      return join(folder, name);
    });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test.skipIf(!has("mandoc"))("mandoc finds no fault", () => {
    const { stdout, stderr, status } = spawnSync("mandoc", ["-Tlint", "-Wwarning", ...files], { encoding: "utf8" });
    expect({ stdout, stderr, status }).toEqual({ stdout: "", stderr: "", status: 0 });
  });

  test.skipIf(!has("groff"))("groff warns of nothing", () => {
    const { stderr, status } = spawnSync("groff", ["-man", "-Tutf8", "-ww", "-z", ...files], { encoding: "utf8" });
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  });

  test.skipIf(!has("mandoc"))("mandoc shows options and examples as they are typed", () => {
    const shown = shownBy("mandoc", ["-Tutf8", "-Owidth=500", ...files]);
    for (const { options, examples } of COMMANDS) {
      for (const { flags } of options) expect(shown).toContain(plain(flags));
      for (const example of examples) expect(shown).toContain(`sapwood ${example.line}\n`);
    }
  });

  test.skipIf(!has("mandoc"))("mandoc shows hostile text as it is", () => {
    const file = join(folder, "hostile.1");
    writeFileSync(file, `.TH A 1 2026-11-27\n.SH NAME\na \\- b\n.SH B\n${line(escaped(HOSTILE))}\n`);
    expect(shownBy("mandoc", ["-Tutf8", "-Owidth=500", file])).toContain(HOSTILE.replace("\n", " "));
  });

  /** Without bold and underlined: a character, a backspace, and the character again. */
  function shownBy(program: string, args: readonly string[]): string {
    const parts = spawnSync(program, args, { encoding: "utf8" }).stdout.split("\b");
    return parts.map((part, at) => (at < parts.length - 1 ? part.slice(0, -1) : part)).join("");
  }
});
