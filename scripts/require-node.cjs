// Tells a Node.js that is too old in one sentence, before a script is run that it cannot even read.
"use strict";

const least = require("../package.json").engines.node.replace(/^\D*/, "").split(".").map(Number);
const found = process.versions.node.split(".").map(Number);

if (found[0] < least[0] || (found[0] === least[0] && found[1] < least[1])) {
  process.stderr.write(
    `sapwood: Node.js ${least.join(".")} or newer is needed; found ${process.versions.node}, ${process.execPath}.\n`,
  );
  process.exitCode = 1;
}
