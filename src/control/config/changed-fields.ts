// Which fields differ between two configurations, by the names that they have in the file.

import { isDeepStrictEqual } from "node:util";

/** Dotted names: "tun.mtu". Lists are compared as a whole. A field that only one of them has counts as different. */
export function changedFields(before: object, after: object, prefix = ""): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) => {
    const left: unknown = Reflect.get(before, name);
    const right: unknown = Reflect.get(after, name);
    if (isSection(left) && isSection(right)) return changedFields(left, right, `${prefix}${name}.`);
    return isDeepStrictEqual(left, right) ? [] : [prefix + name];
  });
}

function isSection(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
