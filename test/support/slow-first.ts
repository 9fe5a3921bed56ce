// In which order files are run, and which take long: a slow file that began last would leave processors idle.
import { BaseSequencer, type Reporter, type TestModule, type TestSpecification } from "vitest/node";

/** Names of files that take long, slowest first; what vitest remembers of earlier runs comes after them. */
const SLOW: Readonly<Record<string, readonly string[]>> = {
  unit: [
    ...["twin", "modules", "flow-storm", "replay", "policy-template", "self-test", "main", "supervisor", "rehearsal"],
    ...["policy-trial", "consistent-hash", "netmanager-installation", "hostile-text", "release"],
  ],
  e2e: [
    ...["oakestra-steps", "offloads", "oakestra-faults", "survival", "oakestra-leaks", "upgrade", "package", "doctor"],
    ...["capture", "five-requests", "encrypted", "oakestra-registration", "attacks-kernel", "page", "dead-proxy"],
    ...["oakestra-firewall", "hot-swap", "transfer", "oakestra", "hostile-policies", "oakestra-tls", "dscp-ecn"],
    ...["tools", "cross-family", "lifecycle", "path-mtu"],
  ],
  long: [
    ...["debian-package", "upgrade", "offloads", "soak", "oakestra-steps", "fuzz", "twin", "oakestra-leaks"],
    ...["killed-threads", "lossy-path", "hot-swap", "killed-proxies", "canary", "ended-lab"],
  ],
};
const SHOWN = 8;
const EVERY_MS = 30_000;

export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((one, other) => rankOf(one) - rankOf(other));
  }
}

function rankOf({ moduleId, project }: TestSpecification): number {
  const names = SLOW[project.name] ?? [];
  const at = names.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
  return at < 0 ? names.length : at;
}

/** A line now and then that says what is running and for how long; after a run of many files, which took longest. */
export class SlowFiles implements Reporter {
  readonly #startedMs = new Map<TestModule, number>();
  #timer: NodeJS.Timeout | undefined;
  #ended = 0;

  onTestRunStart(): void {
    this.#timer = setInterval(() => this.#printRunning(), EVERY_MS).unref();
  }

  onTestModuleStart(module: TestModule): void {
    this.#startedMs.set(module, performance.now());
  }

  onTestModuleEnd(module: TestModule): void {
    this.#startedMs.delete(module);
    this.#ended += 1;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    clearInterval(this.#timer);
    if (modules.length < SHOWN) return;
    const took = modules.map((module) => ({ module, ms: module.diagnostic().duration }));
    const slowest = took.sort((one, other) => other.ms - one.ms).slice(0, SHOWN);
    print("Slowest", slowest);
  }

  #printRunning(): void {
    const running = [...this.#startedMs].map(([module, startedMs]) => ({ module, ms: performance.now() - startedMs }));
    if (running.length > 0) print(`${this.#ended} files done, running`, running);
  }
}

function print(what: string, files: readonly { readonly module: TestModule; readonly ms: number }[]): void {
  const shown = files.map(({ module, ms }) => `${module.relativeModuleId} ${Math.round(ms / 1000)} s`);
  process.stdout.write(`   ${what}  ${shown.join(", ")}\n`);
}
