// The registration and the containers that outlive the process.
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type SavedState, StateFile } from "../../../../../src/control/providers/oakestra/state-file.ts";

const STATE: SavedState = {
  workerId: "65a0",
  clusterAddress: "192.0.2.1",
  subnet: { v4: "10.18.0.64", v6: "fc00::100" },
  address: "192.0.2.11",
  containers: [
    {
      ...{ job: "x.d.x1.d", number: 0, addresses: { v4: "10.18.0.66", v6: "fc00::102" }, device: "veth001" },
      ...{ mappings: [{ protocol: "tcp", host: 80, container: 80 }], process: { pid: 7, inode: 8 } },
    },
  ],
  leaving: [],
};
/** As the first version had it, which was in no release. */
const { leaving: _, address: __, ...FIRST } = { version: 1, ...STATE };

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-state-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("what was written is read by the next process", () => {
  expect(new StateFile(folder).read()).toBeUndefined();
  new StateFile(folder).write(STATE);
  expect(new StateFile(folder).read()).toMatchObject(STATE);
  expect(statSync(join(folder, "netmanager.json")).mode & 0o777).toBe(0o600);
});

test.each([
  ["another version", JSON.stringify(FIRST), "must be a state of version 2; version: expected 2. Without it"],
  ["no JSON", "{", "must be a state of version 2; "],
  ["no object", "7", "must be a state of version 2; the whole: "],
  ["a field that is wrong", JSON.stringify({ version: 2, ...STATE, address: 7 }), "; address: "],
])("a file that is %s is refused with a sentence", (_what, text, sentence) => {
  writeFileSync(join(folder, "netmanager.json"), text);
  expect(() => new StateFile(folder).read()).toThrow(
    expect.objectContaining({ code: "config-invalid", message: expect.stringContaining(sentence) }),
  );
});

test("drafts that a crash left are removed at the next start", () => {
  for (const file of ["jobs.json", "jobs.json.0123456789abcdef.new"]) writeFileSync(join(folder, file), "half");
  new StateFile(folder);
  expect(readdirSync(folder)).toEqual(["jobs.json"]);
});
