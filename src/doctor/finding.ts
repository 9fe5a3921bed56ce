// What a look at one thing found: that it is well, or what to type.

/** "unseen": it could not be looked at, so nothing is said of it. */
type FindingState = "ok" | "wrong" | "unseen";

export interface Finding {
  /** What was looked at: "mtu", "firewall". */
  readonly check: string;
  readonly state: FindingState;
  /** A clause. */
  readonly message: string;
  /** A command, or what to do where no command does it; null when all is well. */
  readonly advice: string | null;
}

export interface DoctorReport {
  /** Nothing is wrong. */
  readonly ok: boolean;
  /** Whether a proxy answered. */
  readonly isRunning: boolean;
  readonly findings: readonly Finding[];
}

export function ok(check: string, message: string): Finding {
  return { check, state: "ok", message, advice: null };
}

export function wrong(check: string, message: string, advice: string): Finding {
  return { check, state: "wrong", message, advice };
}

export function unseen(check: string, message: string, advice: string): Finding {
  return { check, state: "unseen", message, advice };
}
