// Whether all is well, in words, before anything else.

import type { Mood } from "../model/page-reports.ts";
import type { Told } from "./connection.ts";
import { hashOf } from "./place.ts";

const TITLES: Readonly<Record<Mood, string>> = {
  well: "All is well",
  warning: "Needs a look",
  bad: "Something is wrong",
};

export function HeadlineBanner({ told: { overview, state, problem } }: { readonly told: Told }) {
  if (state === "broken") {
    return (
      <section class="headline bad" role="alert" aria-label="State of the node">
        <MoodMark mood="bad" />
        <div>
          <h2>Not connected</h2>
          <p>{problem} What is shown is what was told last; the page goes on trying.</p>
        </div>
      </section>
    );
  }
  if (overview === undefined) {
    return (
      <section class="headline" aria-label="State of the node">
        <h2>Connecting …</h2>
      </section>
    );
  }
  const { headline, nodes, services, instances } = overview;
  return (
    <section class={`headline ${headline.mood}`} role="status" aria-label="State of the node">
      <MoodMark mood={headline.mood} />
      <div>
        <h2>{TITLES[headline.mood]}</h2>
        {headline.reasons.length === 0 ? (
          <p>
            {reachableText(nodes.reachable, nodes.reachable + nodes.lost + nodes.unknown)} {services} services with{" "}
            {instances} instances are in force.
          </p>
        ) : (
          <ul>
            {headline.reasons.map(({ mood, text, view }) => (
              <li key={text} class={mood}>
                <a href={hashOf({ view })}>{text}</a>
              </li>
            ))}
          </ul>
        )}
      </div>
    </section>
  );
}

function reachableText(reachable: number, all: number): string {
  if (all === 0) return "There are no other nodes.";
  return reachable === all ? `All ${all} other nodes answer.` : `${reachable} of ${all} other nodes answer probes.`;
}

/** A form for each mood, not only a colour. */
function MoodMark({ mood }: { readonly mood: Mood }) {
  const path = {
    well: "M5 12.5l4.5 4.5L19 7.5",
    warning: "M12 6v7.5M12 17.2v.6",
    bad: "M7 7l10 10M17 7L7 17",
  }[mood];
  return (
    <svg class={`mood ${mood}`} viewBox="0 0 24 24" aria-hidden="true">
      <circle cx="12" cy="12" r="11.5" />
      <path d={path} />
    </svg>
  );
}
