// SAPWOOD_FAULTS: what it may say, and what is answered when it says something else.
import { expect, test } from "vitest";
import { parseFaults } from "../../../../src/control/config/faults.ts";
import { EIO } from "../../../../src/sys/libc.ts";

const NONE = {
  drop: 0,
  duplicate: 0,
  reorder: 0,
  delay: 0,
  truncate: 0,
  corrupt: 0,
  delayMs: 10,
  error: 0,
  errnos: [],
  short: 0,
};

test("what is not named does not happen", () => {
  expect(parseFaults('{"seed": 7}', "F")).toEqual({ seed: 7, tun: NONE, tunnel: NONE });
  const text = '{"seed": 7, "tun": {"drop": 0.5}, "tunnel": {"error": 0.1, "errnos": ["EIO"], "delayMs": 5}}';
  expect(parseFaults(text, "F")).toEqual({
    seed: 7,
    tun: { ...NONE, drop: 0.5 },
    tunnel: { ...NONE, error: 0.1, errnos: [EIO], delayMs: 5 },
  });
});

test.each([
  ["", "expected fields (seed, tun, tunnel), found nothing"],
  ["drop=1", 'expected fields (seed, tun, tunnel), found the text "drop=1"'],
  ["{}", "seed: expected a seed from 0 to 4294967295, found nothing"],
  ['{"seed": 1, "tap": {}}', "tap: expected one of seed, tun, tunnel, found tap"],
  ['{"seed": 1, "tun": {"drop": 2}}', "tun.drop: expected a share from 0 to 1, found the number 2"],
  ['{"seed": 1, "tun": {"error": 1, "errnos": ["EIO"]}}', "tun.error: expected a share from 0 to 0.9"],
  ['{"seed": 1, "tun": {"error": 0.1}}', "tun.errnos: expected the names of error numbers"],
  [
    '{"seed": 1, "tun": {"error": 0.1, "errnos": ["EFOO"]}}',
    "tun.errnos[0]: expected the name of an error number, EIO say, found EFOO",
  ],
])("%j is refused", (text, message) => {
  expect(() => parseFaults(text, "SAPWOOD_FAULTS")).toThrowError(message);
});
