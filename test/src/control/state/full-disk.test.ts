// What outlives the process is written as a whole or not at all: on a real disk that has no room, or can only be read.
import { beforeAll, describe, expect, test } from "vitest";
import { namespaceProblem, runInNamespaceWithFolder } from "../../../support/namespace.ts";

type Round = Readonly<Record<string, { readonly said: string; readonly read: number | string }>> & {
  readonly newFiles: readonly string[];
};
const ROUNDS = ["first", "full", "roomAgain", "readOnly", "writableAgain"] as const;
type Rounds = Readonly<Record<(typeof ROUNDS)[number], Round>> & { readonly log: unknown };

const WRITERS = ["modules", "worker", "jobs", "parameters", "settings"];
const KEY = /^[A-Za-z0-9+/]{43}=$/;

describe.skipIf(namespaceProblem !== undefined)("files of the state directory", () => {
  let rounds: Rounds;

  beforeAll(() => {
    rounds = runInNamespaceWithFolder(new URL("./in-namespace/full-disk.mjs", import.meta.url)) as Rounds;
  });

  test.for(WRITERS)("%s: a full disk, or one that can only be read, leaves what was there", (name) => {
    const seen = ROUNDS.map((round) => [round, rounds[round][name]?.read]);
    expect(Object.fromEntries(seen)).toEqual({ first: 1, full: 1, roomAgain: 2, readOnly: 2, writableAgain: 3 });
    expect(rounds.full[name]?.said).toContain("ENOSPC");
    expect(rounds.readOnly[name]?.said).toContain("EROFS");
    for (const round of ["first", "roomAgain", "writableAgain"] as const)
      expect(rounds[round][name]?.said).toBe("written");
  });

  test("a key that has no room is not there, rather than half of it, and is made when there is room", () => {
    expect(rounds.first.key).toEqual({ said: expect.stringMatching(KEY), read: rounds.first.key?.said });
    expect(rounds.full.key).toEqual({ said: expect.stringContaining("could not be written (ENOSPC)"), read: "none" });
    expect(rounds.roomAgain.key).toEqual({ said: expect.stringMatching(KEY), read: rounds.roomAgain.key?.said });
    expect(rounds.readOnly.key?.said).toContain("EROFS");
  });

  test("a line of the log that was cut ends before the next one begins", () => {
    expect(rounds.log).toEqual({ lost: 1, lengths: [4096, expect.any(Number), 0], last: "the second" });
  });

  test("no draft stays", () => {
    expect(rounds.full.newFiles).toEqual([]);
    expect(rounds.readOnly.newFiles).toEqual([]);
    for (const round of ROUNDS) expect(rounds[round].newFiles.join()).not.toMatch(/\.new/);
  });
});
