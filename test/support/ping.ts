// How tests ask with ping, so that an answer may take long.

/** It waits for late answers. */
const ANSWER_LIMIT_S = "60";

/**
 * Arguments that have it send so many requests at once and end with the last answer. When one answer has come, ping
 * waits for the others only as long as for its interval or two round trips, whichever is longer: both are short.
 */
export function pingAtOnce(count: number): readonly string[] {
  return ["-n", "-c", String(count), "-l", String(count), "-i", ANSWER_LIMIT_S, "-W", ANSWER_LIMIT_S];
}
