// The error catalogue: what can go wrong at set-up and in control, with a stable code.
// Per packet nothing is thrown; see assembly/shared/verdicts.ts.

/** Code -> exit status of the command and status of the control API. */
const CATALOGUE = {
  "usage": { exit: 2, http: 400 },
  "config-invalid": { exit: 2, http: 422 },
  "config-unreadable": { exit: 2, http: 400 },
  "capture-unreadable": { exit: 2, http: 400 },
  "tables-invalid": { exit: 2, http: 422 },
  "capacity-exceeded": { exit: 1, http: 422 },
  "missing-tool": { exit: 1, http: 500 },
  "missing-rights": { exit: 1, http: 500 },
  "system-call": { exit: 1, http: 500 },
  "tun-unavailable": { exit: 1, http: 500 },
  "port-in-use": { exit: 1, http: 500 },
  "network-setup": { exit: 1, http: 500 },
  "key-unusable": { exit: 1, http: 500 },
  "module-refused": { exit: 1, http: 422 },
  "not-remembered": { exit: 1, http: 507 },
  "policy-faulty": { exit: 1, http: 422 },
  "replay-differs": { exit: 1, http: 422 },
  "no-answer": { exit: 1, http: 504 },
  "not-well": { exit: 1, http: 503 },
  "offload-refused": { exit: 1, http: 422 },
  "out-of-descriptors": { exit: 1, http: 503 },
  "not-running": { exit: 1, http: 503 },
  "already-running": { exit: 1, http: 409 },
  "takeover-failed": { exit: 1, http: 409 },
  "not-found": { exit: 1, http: 404 },
  "method-not-allowed": { exit: 1, http: 405 },
  "body-too-large": { exit: 1, http: 413 },
  "internal": { exit: 70, http: 500 }, // sysexits.h EX_SOFTWARE
  "lab-failed": { exit: 1, http: 500 },
} as const;

export type ErrorCode = keyof typeof CATALOGUE;

/** What the exit statuses of commands that fail mean. */
export const EXIT_MEANINGS: Readonly<Record<(typeof CATALOGUE)[ErrorCode]["exit"], string>> = {
  1: "The command could not do what it is for, or found a fault or a difference.",
  2: "There is a mistake in the command line or in a file.",
  70: "There is an error in sapwood itself.",
};

/** One of the things that an error is about. */
export interface ErrorDetail {
  readonly message: string;
  readonly file?: string | undefined;
  /** Where in the file, from 1. */
  readonly line?: number | undefined;
  readonly column?: number | undefined; // in characters
  readonly field?: string | undefined; // "services[0].name"
}

interface SapwoodErrorOptions extends ErrorOptions {
  readonly details?: readonly ErrorDetail[];
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(CATALOGUE, text);
}

/** An error whose message is one sentence for the user: what was expected, and what was found. */
export class SapwoodError extends Error {
  readonly code: ErrorCode;
  readonly details: readonly ErrorDetail[];

  constructor(code: ErrorCode, message: string, { details = [], ...options }: SapwoodErrorOptions = {}) {
    super(message, options);
    this.name = "SapwoodError";
    this.code = code;
    this.details = details;
  }

  get exitCode(): number {
    return CATALOGUE[this.code].exit;
  }
}

export function httpStatusOf(code: ErrorCode): number {
  return CATALOGUE[code].http;
}

/** What was thrown, in words. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
