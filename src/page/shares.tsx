// The shares of instances, as a bar and in numbers.

import type { PageShare } from "../model/page-reports.ts";
import { count, percent, things } from "./format.ts";

const COLOURS = 8;

interface Share {
  readonly number: number;
  readonly node: string;
  readonly value: number;
}

/** Parts of a whole; an instance has the same colour wherever it is shown. */
export function ShareBar({ shares, label }: { readonly shares: readonly Share[]; readonly label: string }) {
  const whole = shares.reduce((sum, { value }) => sum + value, 0);
  const parts = shares.filter(({ value }) => value > 0);
  const words = parts.map(({ number, value }) => `instance ${number} ${percent(value / whole)}`).join(", ");
  return (
    <div class="bar" role="img" aria-label={`${label}: ${whole === 0 ? "no flows" : words}`}>
      {parts.map(({ number, node, value }) => (
        <span
          key={number}
          class={`share colour-${number % COLOURS}`}
          style={{ flexGrow: value }}
          title={`instance ${number} on ${node}: ${things(value, "flow")}, ${percent(value / whole)}`}
        >
          {value / whole > 0.09 ? percent(value / whole) : ""}
        </span>
      ))}
    </div>
  );
}

/** Each instance with its node, and what is wrong with it. */
export function ShareList({ shares }: { readonly shares: readonly PageShare[] }) {
  return (
    <ul class="shares">
      {shares.map(({ number, node, state, draining, health, healthReason, flows, ended }) => (
        <li
          key={number}
          class={state === "lost" || health === "unhealthy" ? "bad" : draining || health === "avoided" ? "warning" : ""}
        >
          <span class={`swatch colour-${number % COLOURS}`} aria-hidden="true" />
          <b>{number}</b> {node}
          {state === "lost" && <em> lost</em>}
          {(health === "unhealthy" || health === "avoided") && <em title={healthReason ?? ""}> {health}</em>}
          {draining && <em> draining</em>} <data value={flows}>{count(flows)}</data>
          {ended > 0 && <small title="flows that are over and still in the table"> +{count(ended)} ended</small>}
        </li>
      ))}
    </ul>
  );
}
