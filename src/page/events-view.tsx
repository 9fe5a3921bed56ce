// What happened, the newest first.

import type { PageEvent } from "../model/page-reports.ts";

const MOODS: Readonly<Record<string, string>> = {
  "node-lost": "bad",
  "instance-unhealthy": "bad",
  "policy-faulty": "bad",
  "engine-faulty": "bad",
  "network-problem": "bad",
  "worker-restarted": "bad",
  "sends-refused": "bad",
  "workloads-unreachable": "bad",
  "out-of-descriptors": "bad",
  "log-unwritable": "bad",
  "state-unwritable": "bad",
  "state-unusable": "bad",
  "proxy-ending": "bad",
  "instance-avoided": "warning",
  "reload-refused": "warning",
  "flow-table-full": "warning",
  "offload-refused": "warning",
  "network-repaired": "warning",
  "underlay-changed": "warning",
  "clock-jumped": "warning",
  "process-paused": "warning",
};

export function EventsView({ rows }: { readonly rows: readonly PageEvent[] }) {
  return (
    <section aria-labelledby="events-title">
      <div class="tools">
        <h2 id="events-title">Events</h2>
      </div>
      <EventList rows={rows} />
    </section>
  );
}

export function EventList({ rows }: { readonly rows: readonly PageEvent[] }) {
  if (rows.length === 0) return <p class="empty">Nothing has happened since the proxy started.</p>;
  return (
    <ol class="events">
      {rows.map(({ id, at, kind, message, advice }) => (
        <li key={id} class={MOODS[kind] ?? ""}>
          <time dateTime={at}>{new Date(at).toLocaleTimeString()}</time>
          <div>
            <p>
              <b>{kind}</b> {message}
            </p>
            {advice !== null && <p class="note">{advice}</p>}
          </div>
        </li>
      ))}
    </ol>
  );
}
