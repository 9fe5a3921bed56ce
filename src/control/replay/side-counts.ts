// What one set of modules did with the packets of a replay.

import type { ReplaySideReport } from "../../model/replay-report.ts";
import type { PacketSaid } from "../observe/capture-names.ts";

type VerdictCount = ReplaySideReport["verdicts"][number];
type ChoiceCount = ReplaySideReport["choices"][number];
type Counted<T> = { -readonly [Key in keyof T]: T[Key] };

export class SideCounts {
  readonly #verdicts = new Map<string, Counted<VerdictCount>>();
  readonly #choices = new Map<string, Counted<ChoiceCount>>();

  add(at: VerdictCount["interface"], said: PacketSaid, hasOpenedFlow: boolean): void {
    const { verdict, reason, service, instance } = said;
    const key = `${at} ${verdict} ${reason}`;
    const known = this.#verdicts.get(key) ?? { interface: at, verdict, reason: reason ?? null, packets: 0 };
    known.packets += 1;
    this.#verdicts.set(key, known);
    if (!hasOpenedFlow || service === undefined || instance === undefined) return;
    const choiceKey = `${instance} ${service}`;
    const choice = this.#choices.get(choiceKey) ?? { service, instance, flows: 0 };
    choice.flows += 1;
    this.#choices.set(choiceKey, choice);
  }

  /** Most packets first; services by name. */
  report(): Pick<ReplaySideReport, "verdicts" | "choices"> {
    return {
      verdicts: [...this.#verdicts.values()].sort((a, b) => b.packets - a.packets),
      choices: [...this.#choices.values()].sort(
        (a, b) => a.service.localeCompare(b.service) || a.instance - b.instance,
      ),
    };
  }
}
