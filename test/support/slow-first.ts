// In which order files are run, and which took longest: a slow file that began last would leave processors idle.
import { BaseSequencer, type Reporter, type TestModule, type TestSpecification } from "vitest/node";

/** Names of files that take long, slowest first; what vitest remembers of earlier runs comes after them. */
const SLOW = [
  ...["twin", "closest", "self-test", "consistent-hash", "flow", "modules", "policy-trial"],
  ...["offloads", "five-requests", "cross-family", "tools", "path-mtu", "policies", "hot-swap", "lossy-path"],
];
const SHOWN = 8;

export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rest = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = SLOW.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return at < 0 ? SLOW.length : at;
    };
    return rest.sort((one, other) => rank(one) - rank(other));
  }
}

/** After a run of many files: a line that says which took longest. */
export class SlowestFiles implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    if (modules.length < SHOWN) return;
    const seconds = (module: TestModule): number => Math.round(module.diagnostic().duration / 1000);
    const slowest = [...modules].sort((one, other) => seconds(other) - seconds(one)).slice(0, SHOWN);
    const shown = slowest.map((module) => `${module.relativeModuleId} ${seconds(module)} s`);
    process.stdout.write(`   Slowest  ${shown.join(", ")}\n`);
  }
}
