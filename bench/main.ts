// `npm run bench [SUBJECT]`: the benchmarks, one subject at a time; each has options of its own (--help).

import process from "node:process";
import { SapwoodError } from "../src/base/errors.ts";
import { LOAD_CHECK_MS, LOAD_MAX, loadOf } from "./path/machine.ts";

const SUBJECTS = {
  micro: { about: "the engine and the policies beside their twins (the default)", load: () => import("./micro.ts") },
  engines: { about: "packets in the engine of this build and in others, in turns", load: () => import("./engines.ts") },
  capture: { about: "packets without a capture and with one", load: () => import("./capture.ts") },
  path: { about: "whole nodes beside the kernel's own overlay", load: () => import("./path/main.ts") },
  queues: { about: "what packets cost with one queue and with more", load: () => import("./queues.ts") },
  adoption: { about: "a start that takes over the flows of the process before", load: () => import("./adoption.ts") },
  kills: { about: "how long connections are silent when a proxy is killed", load: () => import("./kills.ts") },
  idle: { about: "what a proxy costs that nobody uses", load: () => import("./idle.ts") },
  publish: { about: "very many changes of the tables under traffic", load: () => import("./publish/main.ts") },
  "control-plane": {
    about: "what very many services cost the control plane",
    load: () => import("./control-plane.ts"),
  },
  swap: { about: "swaps of policies and engines under traffic", load: () => import("./swap/main.ts") },
  oakestra: {
    about: "an Oakestra node whose containers call unknown addresses",
    load: () => import("./oakestra/main.ts"),
  },
  history: { about: "the figures that were published, by name and date", load: () => import("./show-history.ts") },
} as const;

function subjectIn(args: string[]): keyof typeof SUBJECTS {
  const [first] = args;
  if (first === undefined || first.startsWith("-")) return "micro";
  if (Object.hasOwn(SUBJECTS, first)) {
    args.shift();
    return first as keyof typeof SUBJECTS;
  }
  const known = Object.entries(SUBJECTS).map(([name, { about }]) => `  ${name.padEnd(13)} ${about}`);
  process.stderr.write(`There is no benchmark "${first}"; there are:\n${known.join("\n")}\n`);
  process.exit(2);
}

/** Figures of a machine that does other things as well must not get into the history. */
async function requireQuiet(): Promise<void> {
  const load = await loadOf(LOAD_CHECK_MS);
  if (load <= LOAD_MAX) return;
  const found = `${Math.round(load * 100)} % busy`;
  process.stderr.write(`--publish needs a machine that is at most ${LOAD_MAX * 100} % busy; found it ${found}.\n`);
  process.exit(1);
}

const args = process.argv.slice(2);
const subject = subjectIn(args);
if (args.includes("--publish")) await requireQuiet();
process.argv.splice(2, Infinity, ...args);
try {
  await SUBJECTS[subject].load();
} catch (error) {
  if (!(error instanceof SapwoodError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = error.exitCode;
}
