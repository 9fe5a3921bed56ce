// The help of the program, of its families and of each command.

import { describe, expect, test, vi } from "vitest";
import { allCommands, commandsFor } from "../../../src/cli/commands.ts";
import { FAMILIES } from "../../../src/cli/program.ts";
import { sapwood, useFakeProxy } from "./support/fake-proxy.ts";

const COMMANDS = await allCommands();

test.each(COMMANDS.map(({ name }) => name))("%s loads no other command", async (name) => {
  expect((await commandsFor([...name.split(" "), "x"])).map((command) => command.name)).toEqual([name]);
});

test.each([[[]], [["help", "run"]], [["policy"]], [["policy", "help", "load"]], [["constructor"]]])(
  "%j loads all commands",
  async (args) => {
    expect(await commandsFor(args)).toHaveLength(COMMANDS.length);
  },
);
const proxy = useFakeProxy();

describe("help", () => {
  test.each([["help"], ["--help"]])("%s lists every command and family under its heading", async (word) => {
    const { exit, out } = await sapwood([word]);
    expect(exit).toBe(0);
    const alone = COMMANDS.filter(({ name }) => !name.includes(" "));
    for (const entry of [...alone, ...FAMILIES]) expectListed(out, entry, entry.name);
  });

  test.each(FAMILIES)("$name lists its commands under their headings", async ({ name }) => {
    const members = COMMANDS.filter((command) => command.name.startsWith(`${name} `));
    expect(members.length).toBeGreaterThan(0);
    for (const line of [
      [name, "help"],
      [name, "--help"],
      ["help", name],
    ]) {
      const { exit, out } = await sapwood(line);
      expect(exit, line.join(" ")).toBe(0);
      for (const member of members) expectListed(out, member, member.name.slice(name.length + 1));
    }
  });

  test("a command of two words belongs to a family", () => {
    const firsts = COMMANDS.filter(({ name }) => name.includes(" ")).map(({ name }) => name.split(" ")[0]);
    expect([...new Set(firsts)]).toEqual(FAMILIES.map(({ name }) => name));
  });

  test.each(COMMANDS.map(({ name, options, examples }) => ({ name, options, examples })))(
    "$name --help and its help command show its options and examples",
    async ({ name, options, examples }) => {
      const words = name.split(" ");
      const { exit, out } = await sapwood([...words, "--help"]);
      expect(exit).toBe(0);
      expect((await sapwood([...words.slice(0, -1), "help", ...words.slice(-1)])).out).toBe(out);
      for (const { flags } of options) expect(out).toContain(flags);
      expect(examples.length).toBeGreaterThan(0);
      for (const { line } of examples) {
        expect(line.split(" ").slice(0, words.length)).toEqual(words);
        expect(out).toContain(`$ sapwood ${line}`);
      }
    },
  );

  test.each(COMMANDS.map(({ name }) => name))("help %s is its help", async (name) => {
    const words = name.split(" ");
    const { exit, out } = await sapwood(["help", ...words]);
    expect(exit).toBe(0);
    expect(out).toBe((await sapwood([...words, "--help"])).out);
  });

  test.each([
    [["help", "statsu"], "unknown command 'statsu'\n(Did you mean status?)\nSee \"sapwood help\"."],
    [["help", "policy", "laod"], "unknown command 'laod'\n(Did you mean load?)"],
    [["policy", "help", "laod"], "unknown command 'laod'\n(Did you mean load?)"],
    [["help", "status", "more"], "unknown command 'more'"],
  ])("%j says that there is none", async (line, said) => {
    const { exit, out, error } = await sapwood(line);
    expect({ exit, out }).toEqual({ exit: 2, out: "" });
    expect(error).toContain(said);
  });

  test("SAPWOOD_SOCKET says where the proxy is, unless --socket does or it is empty", async () => {
    vi.stubEnv("SAPWOOD_SOCKET", proxy.socket);
    expect((await sapwood(["status"])).exit).toBe(0);
    expect((await sapwood(["status", "-s", "/nonexistent.sock"])).error).toContain("/nonexistent.sock");
    expect((await sapwood(["help", "status"])).out).toMatch(/\(default: SAPWOOD_SOCKET,\s+else/);
    vi.stubEnv("SAPWOOD_SOCKET", "");
    expect((await sapwood(["status"])).error).toContain("/run/sapwood/sapwood.sock");
    vi.unstubAllEnvs();
  });

  function expectListed(out: string, { group, summary }: { group: string; summary: string }, name: string): void {
    expect(out).toContain(`${group}:`);
    expect(out).toMatch(new RegExp(`^ +${name}\\b`, "m"));
    expect(out.replace(/\s+/g, " ")).toContain(summary);
  }

  test("no arguments at all show the help as an error", async () => {
    const { exit, error } = await sapwood([]);
    expect(exit).toBe(2);
    expect(error).toContain("Usage: sapwood <command>");
  });

  test("--version prints the version", async () => {
    expect(await sapwood(["--version"])).toEqual({ exit: 0, out: "1.2.3\n", error: "" });
  });
});
