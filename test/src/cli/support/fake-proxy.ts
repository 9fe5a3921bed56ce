// A control socket with constants behind it, and the commands that are run against it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { runProgram } from "../../../../src/cli/program.ts";
import { ControlApi } from "../../../../src/control/api/api.ts";
import { FakeSource } from "../../../support/control-source.ts";

/** A proxy of one test, in a folder of its own. */
interface FakeProxy {
  readonly folder: string;
  readonly socket: string;
  readonly source: FakeSource;
}

/** Opens one before each test of a file and closes it afterwards; the answer always shows the one of the running test. */
export function useFakeProxy(): FakeProxy {
  const proxy = { folder: "", socket: "", source: new FakeSource() };
  let api: ControlApi;

  beforeEach(async () => {
    proxy.folder = mkdtempSync(join(tmpdir(), "sapwood-cli-"));
    proxy.socket = join(proxy.folder, "test.sock");
    proxy.source = new FakeSource();
    api = await ControlApi.listen(proxy.socket, proxy.source.parts, () => undefined);
  });

  afterEach(async () => {
    await api.close();
    rmSync(proxy.folder, { recursive: true });
  });

  return proxy;
}

interface Outcome {
  readonly exit: number;
  readonly out: string;
  readonly error: string;
}

export async function sapwood(line: readonly string[], columns?: number): Promise<Outcome> {
  let out = "";
  let error = "";
  const exit = await runProgram(line, "1.2.3", {
    columns,
    print: (text) => {
      out += text;
    },
    async printAll(pieces) {
      for (const piece of pieces) out += piece;
    },
    printPage: async () => undefined,
    printError: (text) => {
      error += text;
    },
  });
  return { exit, out, error };
}

/** The cells of a printed table, which are two spaces apart. */
export function cells(out: string): string[][] {
  return out
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {2,}/));
}
