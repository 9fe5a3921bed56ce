// The version of this package, from its package.json.

import { readFileSync } from "node:fs";

export function packageVersion(): string {
  // Compiled, this file is dist/src/base/version.js; as source it is src/base/version.ts.
  const path = import.meta.url.endsWith(".ts") ? "../../package.json" : "../../../package.json";
  const manifest: unknown = JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
  const hasVersion = typeof manifest === "object" && manifest !== null && "version" in manifest;
  return hasVersion ? String(manifest.version) : "unknown";
}
