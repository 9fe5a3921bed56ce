// Every way to change a file is seen, in a real folder; what is read is just its text.

import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FileWatcher } from "../../../../src/control/config/file-watcher.ts";

let folder: string;
let file: string;
let watcher: FileWatcher<string>;
let heard: string[];
let tellNext: (() => void) | undefined;
let missing: number; // reads for which there is no descriptor

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-watch-"));
  file = join(folder, "node.yaml");
  writeFileSync(file, "first");
  missing = 0;
});

afterEach(async () => {
  await watcher.close();
  rmSync(folder, { recursive: true });
});

function load(path: string): string {
  if (missing > 0) {
    missing -= 1;
    throw Object.assign(new Error("no descriptor"), { code: "EMFILE", syscall: "open" });
  }
  const text = readFileSync(path, "utf8");
  if (text.includes("bad")) throw new Error(`refused ${text}`);
  return text;
}

async function watchFile(path = file): Promise<void> {
  watcher = new FileWatcher(path, load);
  heard = [await watcher.load()];
  const hear = (what: string) => {
    heard.push(what);
    tellNext?.();
  };
  watcher.watch({
    onContent: async (config) => hear(config),
    onRefused: (error) => hear(error instanceof Error ? error.message : String(error)),
    onUnwatched: (lost) => hear(`unwatched ${lost}`),
  });
}

/** Resolves when `change` was heard of. */
function afterHearing(change: () => void): Promise<void> {
  const next = new Promise<void>((resolve) => {
    tellNext = resolve;
  });
  change();
  return next;
}

test("a write in place is seen", async () => {
  await watchFile();
  // The first may still be found by the look that begins the watch; the second is not.
  await afterHearing(() => writeFileSync(file, "second"));
  await afterHearing(() => writeFileSync(file, "third"));
  expect(heard).toEqual(["first", "second", "third"]);
});

test("a file that is written in pieces is read when it is complete", async () => {
  await watchFile();
  const writer = openSync(file, "w");
  writeSync(writer, "sec");
  const beside = join(folder, "beside");
  for (let i = 0; i < 20; i++) {
    writeFileSync(beside, String(i)); // has the watcher look again and again
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(heard).toEqual(["first"]);
  await afterHearing(() => {
    writeSync(writer, "ond");
    closeSync(writer);
  });
  expect(heard).toEqual(["first", "second"]);
});

test("a folder that is moved away and made anew is seen, and one that a link above leads to", async () => {
  mkdirSync(join(folder, "a", "b"), { recursive: true });
  mkdirSync(join(folder, "c", "b"), { recursive: true });
  symlinkSync(join(folder, "a"), join(folder, "link"));
  writeFileSync(join(folder, "a", "b", "node.yaml"), "first");
  writeFileSync(join(folder, "c", "b", "node.yaml"), "second");
  await watchFile(join(folder, "link", "b", "node.yaml"));
  await afterHearing(() => {
    symlinkSync(join(folder, "c"), join(folder, "next"));
    renameSync(join(folder, "next"), join(folder, "link"));
  });
  await afterHearing(() => {
    renameSync(join(folder, "c"), join(folder, "gone"));
    mkdirSync(join(folder, "c", "b"), { recursive: true });
    writeFileSync(join(folder, "c", "b", "node.yaml"), "third");
  });
  await afterHearing(() => writeFileSync(join(folder, "c", "b", "node.yaml"), "fourth"));
  expect(heard.filter((what) => !what.startsWith("ENOENT"))).toEqual(["first", "second", "third", "fourth"]);
});

test("a replacement by rename is seen, also the second one", async () => {
  await watchFile();
  for (const text of ["second", "third"]) {
    await afterHearing(() => {
      writeFileSync(`${file}.new`, text);
      renameSync(`${file}.new`, file);
    });
  }
  expect(heard).toEqual(["first", "second", "third"]);
});

test("a swap of the folder behind a symlink is seen, as Kubernetes mounts do it", async () => {
  const mount = join(folder, "mount");
  const generation = (name: string, text: string) => {
    mkdirSync(join(mount, name), { recursive: true });
    writeFileSync(join(mount, name, "node.yaml"), text);
  };
  generation("..1", "first");
  symlinkSync("..1", join(mount, "..data"));
  symlinkSync("..data/node.yaml", join(mount, "node.yaml"));
  await watchFile(join(mount, "node.yaml"));
  for (const [before, after, text] of [
    ["..1", "..2", "second"],
    ["..2", "..3", "third"],
  ] as const) {
    await afterHearing(() => {
      generation(after, text);
      symlinkSync(after, join(mount, "..data_tmp"));
      renameSync(join(mount, "..data_tmp"), join(mount, "..data"));
      rmSync(join(mount, before), { recursive: true });
    });
  }
  expect(heard).toEqual(["first", "second", "third"]);
});

test("a write to the file that a symlink leads to in another folder is seen", async () => {
  const elsewhere = join(folder, "elsewhere");
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, "real.yaml"), "first");
  unlinkSync(file);
  symlinkSync(join(elsewhere, "real.yaml"), file);
  await watchFile();
  await afterHearing(() => writeFileSync(join(elsewhere, "real.yaml"), "second"));
  await afterHearing(() => writeFileSync(join(elsewhere, "real.yaml"), "third"));
  expect(heard).toEqual(["first", "second", "third"]);
});

test("a bad file is reported, and the next good one is taken", async () => {
  await watchFile();
  await afterHearing(() => writeFileSync(file, "bad"));
  await afterHearing(() => writeFileSync(file, "second"));
  expect(heard).toEqual(["first", "refused bad", "second"]);
});

test("a file that is removed is reported, and its return is seen", async () => {
  await watchFile();
  await afterHearing(() => unlinkSync(file));
  await afterHearing(() => writeFileSync(file, "second"));
  expect(heard).toEqual(["first", expect.stringContaining("ENOENT"), "second"]);
});

test("a path that is out of reach is reported, and its return is seen", async () => {
  await watchFile();
  await afterHearing(() => {
    unlinkSync(file);
    symlinkSync("node.yaml", file);
  });
  await afterHearing(() => {
    unlinkSync(file);
    writeFileSync(file, "back");
  });
  expect(heard.at(1)).toMatch(/^ELOOP/);
  expect(heard.at(-1)).toBe("back");
});

test("a change between loading and watching is not lost", async () => {
  watcher = new FileWatcher(file, load);
  await watcher.load();
  writeFileSync(file, "second");
  await new Promise<void>((resolve) => {
    watcher.watch({
      onContent: async (config) => {
        expect(config).toBe("second");
        resolve();
      },
      onRefused: () => undefined,
      onUnwatched: () => undefined,
    });
  });
});

test("another file of the folder is not taken for a change", async () => {
  await watchFile();
  writeFileSync(join(folder, "other.yaml"), "other");
  await new Promise((resolve) => setTimeout(resolve, 200)); // longer than the debounce; too short would pass as well
  await afterHearing(() => writeFileSync(file, "second"));
  expect(heard).toEqual(["first", "second"]);
});

test("a change that no descriptor was left to read comes into force without another one, and is refused once", async () => {
  await watchFile();
  missing = 2;
  await afterHearing(() => writeFileSync(file, "second"));
  expect(heard).toEqual(["first", "no descriptor"]);
  await expect.poll(() => heard, { timeout: 60_000 }).toEqual(["first", "no descriptor", "second"]);
  expect(missing).toBe(0);
});

test("reload reads the file although it did not change", async () => {
  await watchFile();
  await watcher.reload();
  expect(heard).toEqual(["first", "first"]);
});

test("a closed watcher is silent and may be closed again", async () => {
  await watchFile();
  await watcher.close();
  writeFileSync(file, "second");
  await watcher.reload();
  await watcher.close();
  expect(heard).toEqual(["first"]);
});

test("says that no change has an effect while there is no file, and that one has when it is back", async () => {
  await watchFile();
  expect(watcher.following).toEqual({ file, isFollowed: true, problem: undefined });
  await afterHearing(() => unlinkSync(file));
  expect(watcher.following).toMatchObject({ isFollowed: false, problem: "there is no such file (ENOENT)" });
  await afterHearing(() => writeFileSync(file, "second"));
  expect(watcher.following.isFollowed).toBe(true);
  expect(heard.filter((what) => !what.startsWith("ENOENT"))).toEqual(["first", "second"]);
});

test("says so of a file that was removed where its descriptor, or its mount, still leads to it", async () => {
  const open = openSync(file, "r");
  try {
    await watchFile(`/proc/self/fd/${open}`);
    expect(watcher.following.isFollowed).toBe(true);
    await afterHearing(() => unlinkSync(file));
    expect(watcher.following).toMatchObject({
      isFollowed: false,
      problem: "it was replaced or removed where it is mounted from; mount its folder instead",
    });
    expect(heard.at(-1)).toContain("unwatched it was replaced");
  } finally {
    closeSync(open);
  }
});

test("says so of what is no file", async () => {
  await watchFile();
  await afterHearing(() => {
    unlinkSync(file);
    mkdirSync(file);
  });
  expect(watcher.following).toMatchObject({ isFollowed: false, problem: "expected a file, found a folder" });
});
