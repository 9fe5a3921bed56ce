import { describe, expect, test } from "vitest";
import { createLogger } from "../../../src/base/log.ts";
import { prettyLines } from "../../../src/base/pretty-log.ts";

function logged(isColored: boolean, write: (log: ReturnType<typeof createLogger>) => void): string {
  let out = "";
  const target = {
    write(text: string) {
      out += text;
    },
  };
  write(createLogger("info", prettyLines(isColored, target)));
  return out;
}

describe("a log for people", () => {
  test("has the time, the level, the message and then its fields", () => {
    const out = logged(false, (log) => log.warn({ policy: "closest", took: 5 }, "policy loaded"));
    expect(out).toMatch(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] WARN: policy loaded\n/);
    expect(out).toContain('    policy: "closest"\n');
    expect(out).toContain("    took: 5\n");
  });

  test("has colours only where they are wanted", () => {
    expect(logged(true, (log) => log.info("a"))).toContain("\u001b[32m");
    expect(logged(false, (log) => log.info("a"))).not.toContain("\u001b");
  });

  test("shows an error with its stack", () => {
    expect(logged(false, (log) => log.error({ err: new TypeError("inner words") }, "failed"))).toContain("inner words");
  });

  test("hands no control character on, and no line that looks like another event", () => {
    const evil = "a\u001b[2J\u009b31m\u202eb\r\n[2026-01-01 00:00:00.000] INFO: all is well";
    const out = logged(false, (log) => {
      log.info({ [evil]: evil, list: [evil], err: new Error(evil) }, evil);
    });
    expect(out.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
    expect(out.match(/^\[/gm)).toHaveLength(1);
    expect(out).toContain("\\u001b[2J");
  });
});
