// Debian's Chromium in a network namespace of a lab, as somebody at that node would look at its page.

import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import type { Lab } from "../../src/lab/lab.ts";
import { namespaceFile } from "../../src/lab/sandbox.ts";

export const CHROMIUM = "/usr/bin/chromium";
const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];
/** Ten times what a busy machine needs. */
const TIMEOUT_MS = 120_000;

export interface LabBrowser {
  readonly browser: Browser;
  close(): Promise<void>;
}

/** Its connections begin in the namespace of the node; its files are gone when it is closed. */
export async function openBrowser(lab: Lab, node: string): Promise<LabBrowser> {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is needed; install Debian's package chromium.`);
  const folder = mkdtempSync(join(tmpdir(), "sapwood-browser-"));
  const program = join(folder, "chromium");
  const namespace = lab.sandbox.pathFromOutside(namespaceFile(node));
  writeFileSync(program, `#!/bin/sh\nexec nsenter --net=${namespace} ${CHROMIUM} "$@"\n`);
  chmodSync(program, 0o755);
  try {
    const browser = await chromium.launch({ executablePath: program, args: FLAGS, timeout: TIMEOUT_MS });
    return {
      browser,
      close: async () => {
        await browser.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}
