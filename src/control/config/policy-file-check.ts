// Whether the files under `policies` are policy modules, as far as that shows without running them.

import { dirname, resolve } from "node:path";
import type { Issue } from "../../base/issues.ts";
import { memoryPages, policyShape } from "../../dataplane/modules/policy-module.ts";
import { checkBytes, checkModule, readModule } from "../../dataplane/modules/wasm.ts";

export interface PolicyFiles {
  readonly policies: Readonly<Record<string, { readonly file: string }>>;
  readonly policyLimits: { readonly memory: number };
}

/** Paths are relative to the configuration's folder. */
export function policyFileIssues({ policies, policyLimits }: PolicyFiles, configFile: string): Issue[] {
  const folder = dirname(resolve(configFile));
  const shape = policyShape(memoryPages(policyLimits.memory));
  return Object.entries(policies).flatMap(([name, { file }]) => {
    const path = resolve(folder, file);
    try {
      const bytes = readModule(path, shape);
      checkBytes(bytes, shape, path);
      checkModule(new WebAssembly.Module(bytes), shape, path);
      return [];
    } catch (error) {
      const why = error instanceof Error ? error.message.replace(/\.$/, "") : String(error);
      return [{ path: ["policies", name, "file"], message: `expected a policy module. ${why}` }];
    }
  });
}
