// The folder that a policy of one's own begins with: template/policy, and the SDK's two files under the paths that
// they import each other by.

import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SapwoodError } from "../../base/errors.ts";
import { shortText } from "../../base/issues.ts";
import { canonicalName } from "../../model/names.ts";
import { isPolicyName, POLICY_NAME_RULE } from "../../model/policy-names.ts";

// Compiled, this file is below dist, a folder deeper than as source.
const PACKAGE = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../../../" : "../../../../", import.meta.url));
const TEMPLATE = join(PACKAGE, "template/policy");
const SDK_FILES = ["policy/sdk.ts", "shared/policies.ts"];
/** What the template's files and texts call the policy, and this program. */
const PLACEHOLDER = "my-policy";
const PROGRAM_PLACEHOLDER = "sapwood-main.js";
/** What npm takes for the name of a package, and what it gets in the place of a name of another script. */
const PACKAGE_NAME = /^[a-z0-9-]+$/;
const ANY_PACKAGE = "policy";
const SHOWN_LENGTH_MAX = 100;
const PROGRAM = join(PACKAGE, "dist/src/main.js");

/** Writes it into a folder that is empty or not there yet; answers the files' names. Throws usage. */
export function writePolicyTemplate(typed: string, folder: string): string[] {
  const name = canonicalName(typed);
  if (!isPolicyName(name)) {
    throw new SapwoodError(
      "usage",
      `A policy needs ${POLICY_NAME_RULE}; found "${shortText(typed, SHOWN_LENGTH_MAX)}".`,
    );
  }
  claimFolder(folder);
  const files = readdirSync(TEMPLATE).map((file) => {
    const text = readFileSync(join(TEMPLATE, file), "utf8")
      .replace(`"name": "${PLACEHOLDER}"`, `"name": "${PACKAGE_NAME.test(name) ? name : ANY_PACKAGE}"`)
      .replaceAll(PLACEHOLDER, name)
      .replace(`"${PROGRAM_PLACEHOLDER}"`, () => JSON.stringify(PROGRAM));
    const own = file.replace(PLACEHOLDER, name);
    writeFileSync(join(folder, own), text);
    return own;
  });
  for (const file of SDK_FILES) {
    const to = join(folder, "sdk", file);
    mkdirSync(dirname(to), { recursive: true });
    cpSync(join(PACKAGE, "assembly", file), to);
  }
  return [...files.sort(), ...SDK_FILES.map((file) => `sdk/${file}`)];
}

function claimFolder(folder: string): void {
  let present: string[];
  try {
    mkdirSync(folder, { recursive: true });
    present = readdirSync(folder);
  } catch (cause) {
    const found = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause);
    throw new SapwoodError("usage", `A policy needs an empty folder; ${folder} cannot be one (${found}).`, { cause });
  }
  if (present.length === 0) return;
  const some = present.sort().slice(0, 3).join(", ");
  throw new SapwoodError("usage", `A policy needs an empty folder; found ${some} in ${folder}.`);
}
