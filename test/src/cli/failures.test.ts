// What the commands say when something is wrong with the line, the proxy or a file.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { SapwoodError } from "../../../src/base/errors.ts";
import { failurePrinter } from "../../../src/cli/failure.ts";
import { sapwood, useFakeProxy } from "./support/fake-proxy.ts";

const proxy = useFakeProxy();

describe("failures", () => {
  test.each(["status", "services", "instances", "nodes", "flows", "counters"])(
    "%s without a proxy is one sentence that names the socket",
    async (name) => {
      const missing = join(proxy.folder, "missing.sock");
      const { exit, out, error } = await sapwood([name, "-s", missing]);
      expect({ exit, out }).toEqual({ exit: 1, out: "" });
      expect(error).toMatch(/^sapwood: No proxy answers at .*\n$/);
      expect(error).toContain(missing);
    },
  );

  test.each([
    [["statsu"], "Did you mean status?"],
    [["status", "--jsno"], "Did you mean --json?"],
    [["flows", "--limit", "0"], "whole number"],
    [["flows", "--protocol", "sctp"], "tcp, udp, icmp, other"],
    [["policy", "show"], "name"],
    [["status", "extra"], "too many arguments"],
    [["policy", "nwe"], "Did you mean new?"],
    [["policy", "new"], "name"],
  ])("%j is exit status 2 and says what was expected", async (line, said) => {
    const { exit, out, error } = await sapwood(line);
    expect({ exit, out }).toEqual({ exit: 2, out: "" });
    expect(error).toMatch(/^sapwood: /);
    expect(error).toContain(said);
    expect(error).toMatch(/See "sapwood (?:policy )?help/);
  });

  test.each([["run"], ["check"], ["key", "show"], ["key", "next"]])(
    "%s %s without a configuration says where it is looked for",
    async (...line) => {
      const { exit, error } = await sapwood(line);
      expect(exit).toBe(2);
      expect(error).toBe(
        "sapwood: A configuration is needed: none was named, and there is none at /etc/sapwood/node.yaml.\n",
      );
    },
  );

  test.each([
    [["statsu", "--json"], 2, "usage", "unknown command 'statsu' (Did you mean status?)"],
    [["status", "--jsno", "--json"], 2, "usage", "unknown option '--jsno' (Did you mean --json?)"],
    [["flows", "--limit", "x", "--json"], 2, "usage", "whole number"],
    [["status", "-s", "/nonexistent.sock", "--json"], 1, "not-running", "/nonexistent.sock"],
    [["check", "/nonexistent.yaml", "--json"], 2, "config-unreadable", "/nonexistent.yaml"],
  ])("%j is one object on standard error", async (line, status, code, said) => {
    const { exit, out, error } = await sapwood(line);
    expect({ exit, out }).toEqual({ exit: status, out: "" });
    expect(error.endsWith("}\n")).toBe(true);
    expect(JSON.parse(error)).toEqual({ error: { code, message: expect.stringContaining(said), details: [] } });
  });

  test.each(["", ".", ".."])("%j is no name of a policy", async (name) => {
    const { exit, error } = await sapwood(["policy", "show", name, "-s", proxy.socket]);
    expect({ exit, error }).toEqual({ exit: 2, error: `sapwood: The name of a policy is needed; found "${name}".\n` });
  });

  test("a name of any script gets to its route, in one composition of its characters", async () => {
    await sapwood(["policy", "show", "gro\u0308ße", "-s", proxy.socket]);
    await sapwood(["policy", "unload", "最近/%?#", "-s", proxy.socket]);
    await sapwood(["flows", "--service", "gro\u0308ße&a=b", "-s", proxy.socket]);
    expect(proxy.source.modules).toEqual(["show größe", "unload 最近/%?#"]);
    expect(proxy.source.flowQueries).toMatchObject([{ service: "größe&a=b" }]);
  });

  test("the details of an error come through the socket", async () => {
    const details = [{ message: "expected a list, found 5", file: "tables", line: 1, column: 11, field: "services" }];
    proxy.source.failure = new SapwoodError("config-invalid", "tables:1:11: services: expected a list", { details });
    const file = join(proxy.folder, "services.yaml");
    writeFileSync(file, "services: 5\n");
    const { exit, error } = await sapwood(["apply", file, "-s", proxy.socket, "--json"]);
    expect(exit).toBe(2);
    expect(JSON.parse(error)).toEqual({
      error: {
        code: "config-invalid",
        message: `${file}:1:11: services: expected a list`,
        details: details.map((detail) => ({ ...detail, file })),
      },
    });
  });

  test("an empty path of a socket is no path", async () => {
    const { exit, error } = await sapwood(["status", "-s", ""]);
    expect({ exit, error }).toEqual({ exit: 2, error: "sapwood: --socket must be a path; found an empty text.\n" });
  });

  test.each([
    ["ENOSPC", "No room is left on the disk"],
    ["EMFILE", "The process has as many files and sockets open as it may"],
  ])("what the machine ran out of (%s) is one sentence and exit status 1", (code, sentence) => {
    const thrown = Object.assign(new Error(`${code}: no, open '/x'`), { code, syscall: "open" });
    for (const args of [[], ["--json"]]) {
      let printed = "";
      const printError = (text: string): void => {
        printed += text;
      };
      expect(failurePrinter(args, { printError }).print(thrown)).toBe(1);
      expect(printed.trimEnd()).not.toContain("\n");
      expect(printed).toContain(`${sentence} (${code}: no, open '/x').`);
    }
  });

  test("an unforeseen error is exit status 70 with its stack", async () => {
    const file = join(proxy.folder, "services.yaml");
    writeFileSync(file, "");
    proxy.source.failure = new TypeError("inner words");
    const { exit, error } = await sapwood(["apply", file, "-s", proxy.socket]);
    expect(exit).toBe(70);
    expect(error).toContain("unexpected error");
  });
});
