// Entry of the thread in which an engine is tried. It may be ended at any moment.

import { parentPort, workerData } from "node:worker_threads";
import { SapwoodError } from "../errors.ts";
import type { EngineTrialAnswer, EngineTrialData } from "./engine-trial-contract.ts";
import { selfTest } from "./self-test.ts";

async function refusalOf({ candidate, inForce }: EngineTrialData): Promise<string | undefined> {
  try {
    await selfTest(candidate, inForce);
    return undefined;
  } catch (error) {
    if (error instanceof SapwoodError) return error.message;
    throw error;
  }
}

const answer: EngineTrialAnswer = { refusal: await refusalOf(workerData as EngineTrialData) };
parentPort?.postMessage(answer);
