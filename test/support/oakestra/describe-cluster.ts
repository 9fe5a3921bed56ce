// Whether this machine can run a cluster of Oakestra.
import { describeLab } from "../lab.ts";

/** `describeLab` with a broker; `programs` are what it needs besides. */
export function describeCluster(name: string, body: () => void, ...programs: readonly string[]): void {
  describeLab(name, body, "mosquitto", ...programs);
}
