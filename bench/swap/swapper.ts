// Program: `swapper.js SOCKET COUNT` puts COUNT policies and COUNT engines in force by the control socket, in turns, and
// tells of each what the proxy told. They do what the built-in ones do, but are other modules each time.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { putModule } from "../../src/cli/client.ts";
import { builtModulePath } from "../../src/dataplane/modules/wasm.ts";
import type { EngineReport, PolicyDetailReport } from "../../src/model/module-reports.ts";
import type { SwapResult } from "./protocol.ts";

const PAUSE_MS = 20;

const [socket = "", count = ""] = process.argv.slice(2);

/** With a custom section (WebAssembly core specification, section 5.5.3) that holds a number. */
function numbered(bytes: Uint8Array, number: number): Uint8Array {
  const content = [1, 0x6e, number & 0x7f, number >> 7];
  return Uint8Array.from([...bytes, 0, content.length, ...content]);
}

const swaps = [
  { what: "policy", path: "/v1/policies/round-robin", bytes: readFileSync(builtModulePath("policies/round-robin")) },
  { what: "engine", path: "/v1/engine", bytes: readFileSync(builtModulePath("engine")) },
] as const;
for (let number = 0; number < Number(count); number++) {
  for (const { what, path, bytes } of swaps) {
    const module = { file: `${what} ${number}`, bytes: numbered(bytes, number) };
    const { swap } = await putModule<PolicyDetailReport | EngineReport>(socket, path, module);
    if (swap === null) throw new Error(`The swap of ${module.file} has no report.`);
    const result: SwapResult = { what, tookMs: swap.tookMs, pauseMs: swap.pauseMs };
    process.stdout.write(`${JSON.stringify(result)}\n`);
    await pause(PAUSE_MS);
  }
}
