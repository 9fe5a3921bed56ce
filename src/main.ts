#!/usr/bin/env node
// The entry point: tells a Node.js that is too old in one sentence. Such a one cannot even read the rest of the
// program, so there is nothing here that Node.js 6 would not read: no import, no await, and import() only within a
// text.

const leastNode = [20, 19]; // as package.json says
const foundNode = process.versions.node.split(".").map(Number);

if (isAtLeast(foundNode, leastNode)) {
  new Function("file", "return import(file)")("../program/start.js"); // start.ts, with what it imports
} else {
  process.stderr.write(
    `sapwood: Node.js ${leastNode.join(".")} or newer is needed; found ${process.versions.node}, ${process.execPath}.\n`,
  );
  process.exitCode = 1;
}

function isAtLeast(found: readonly number[], least: readonly number[]): boolean {
  const [major = 0, minor = 0] = found;
  const [leastMajor = 0, leastMinor = 0] = least;
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}
