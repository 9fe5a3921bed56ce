// What the thread of an engine's trial is given, and what it answers.

export interface EngineTrialData {
  readonly candidate: WebAssembly.Module;
  readonly inForce: WebAssembly.Module;
}

/** Undefined: it passed. */
export type EngineTrialAnswer = { readonly refusal: string | undefined };
