// Three projects, one after the other. `npm test`: unit, what needs no network, and e2e, real proxies over real TUN
// devices. `npm run test:long`: long, the same claims on millions of packets and at more size. docs/testing.md.
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { sized } from "./test/support/size.ts";
import { SlowFiles, SlowFirst } from "./test/support/slow-first.ts";

/** Vitest leaves one processor idle by default, which on a machine with two is half of it. */
const WORKERS = availableParallelism();
/** At once. Each lab is alone in namespaces of its own, and waits more than it works: more labs than processors. */
const LABS = 4;
/** A long test works more than it waits. */
const LONG_LABS = 3;
/**
 * Long files whose claims `npm test` holds in the same way on less traffic, in one way of several, or over the other
 * family: only a run of the full size has them.
 */
const FULL_ONLY = sized(
  [
    ...["attacks-kernel", "balancing", "canary", "dscp-ecn", "flow-storm", "hot-swap", "killed-proxies", "lossy-path"],
    ...["oakestra-registration", "oakestra-tls", "path-mtu"],
  ].map((name) => `test/long/${name}.test.ts`),
  [],
);
/** The files of a worker share what they import: none changes it, and it is loaded once instead of 150 times. */
const SHARED = { isolate: false };
/** A condition that is waited for: vitest gives up after a second, which a busy machine may need for starting a thread. */
const PATIENT = { poll: { timeout: 60_000 } };

// biome-ignore lint/style/noDefaultExport: the form that vitest reads
export default defineConfig({
  test: {
    globalSetup: ["test/support/global-setup.ts"],
    reporters: ["default", new SlowFiles()],
    sequence: { sequencer: SlowFirst },
    projects: [
      {
        test: {
          name: "unit",
          ...SHARED,
          include: ["test/**/*.test.ts"],
          exclude: ["test/e2e/**", "test/long/**"],
          maxWorkers: WORKERS,
          expect: PATIENT,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "e2e",
          ...SHARED,
          include: ["test/e2e/**/*.test.ts"],
          maxWorkers: LABS,
          expect: PATIENT,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "long",
          ...SHARED,
          include: ["test/long/**/*.test.ts"],
          exclude: FULL_ONLY,
          maxWorkers: LONG_LABS,
          expect: PATIENT,
          testTimeout: 1_200_000,
          hookTimeout: 1_200_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
