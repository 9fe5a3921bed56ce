// Which messages of rtnetlink concern an interface: made by hand as the kernel writes them (linux/rtnetlink.h).
import { describe, expect, test } from "vitest";
import { concerns } from "../../../src/sys/route-events.ts";

const NEWLINK = 16;
const DELLINK = 17;
const DELADDR = 21;
const NEWROUTE = 24;
const DELROUTE = 25;
const NEWNEIGH = 28;
const DELRULE = 33;
const RTA_DST = 1;
const RTA_OIF = 4;

/** struct nlmsghdr, then the body, padded to 4 bytes. */
function message(type: number, body: readonly number[]): number[] {
  const length = 16 + body.length;
  const header = [length & 0xff, length >> 8, 0, 0, type, 0, ...new Array<number>(10).fill(0)];
  return [...header, ...body, ...new Array<number>(-length & 3).fill(0)];
}

/** ifinfomsg and ifaddrmsg both begin with 4 bytes and the index. */
function ofLink(type: number, index: number): number[] {
  return message(type, [0, 0, 0, 0, index, 0, 0, 0, ...new Array<number>(8).fill(0)]);
}

function ofRoute(type: number, ...attributes: readonly (readonly number[])[]): number[] {
  return message(type, [...new Array<number>(12).fill(0), ...attributes.flat()]);
}

function attribute(type: number, bytes: readonly number[]): number[] {
  return [4 + bytes.length, 0, type, 0, ...bytes, ...new Array<number>(-bytes.length & 3).fill(0)];
}

function view(bytes: readonly number[]): DataView {
  return new DataView(Uint8Array.from(bytes).buffer);
}

describe("a message concerns interface 7", () => {
  test.each([
    ["its link changed", ofLink(NEWLINK, 7), true],
    ["its link went", ofLink(DELLINK, 7), true],
    ["another link went", ofLink(DELLINK, 8), false],
    ["its address went", ofLink(DELADDR, 7), true],
    ["a route to it went", ofRoute(DELROUTE, attribute(RTA_DST, [10, 30, 0]), attribute(RTA_OIF, [7, 0, 0, 0])), true],
    ["a route elsewhere came", ofRoute(NEWROUTE, attribute(RTA_OIF, [8, 0, 0, 0])), false],
    ["a route to nowhere came", ofRoute(NEWROUTE, attribute(RTA_DST, [7, 0, 0, 0])), false],
    ["a rule went", message(DELRULE, [0, 0, 0, 0]), true],
    ["a neighbour came", ofLink(NEWNEIGH, 7), false],
    ["the second of two is about it", [...ofLink(NEWLINK, 8), ...ofLink(NEWLINK, 7)], true],
    ["an odd length comes before it", [...ofRoute(NEWROUTE, [5, 0, 1, 0, 9]), ...ofLink(NEWLINK, 7)], true],
    ["nothing came", [], false],
  ] as const)("%s", (_what, bytes, expected) => {
    expect(concerns(view(bytes), [7])).toBe(expected);
  });

  test.each([
    ["its link changed", ofLink(NEWLINK, 7), true],
    ["its address went", ofLink(DELADDR, 7), true],
    ["a route to it went", ofRoute(DELROUTE, attribute(RTA_OIF, [7, 0, 0, 0])), false],
  ] as const)("as a link alone: %s", (_what, bytes, expected) => {
    expect(concerns(view(bytes), [], [7])).toBe(expected);
  });

  test("nothing that is cut off or claims a wrong length is read beyond its end", () => {
    const whole = [
      ...ofRoute(NEWROUTE, attribute(RTA_DST, [10]), attribute(RTA_OIF, [8, 0, 0, 0])),
      ...ofLink(NEWLINK, 8),
    ];
    for (let length = 0; length < whole.length; length++) {
      expect(concerns(view(whole.slice(0, length)), [7])).toBe(false);
      for (const value of [0, 1, 3, 255]) {
        const changed = whole.map((byte, at) => (at === length && at !== 4 ? value : byte));
        expect(() => concerns(view(changed), [7])).not.toThrow();
      }
    }
  });
});
