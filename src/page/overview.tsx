// All that a person wants to see at once: how much passes, who answers, who serves.

import type { PageOverview, PageViewReport } from "../model/page-reports.ts";
import type { Told } from "./connection.ts";
import { DropTable } from "./drops-view.tsx";
import { EventList } from "./events-view.tsx";
import { bits, count, percent, perSecond, quantity } from "./format.ts";
import { NodeMap } from "./node-map.tsx";
import { hashOf } from "./place.ts";
import { PolicyCard } from "./policies-view.tsx";
import { ServiceCard } from "./services-view.tsx";
import { ThroughputChart } from "./throughput-chart.tsx";

type OverviewReport = Extract<PageViewReport, { view: "overview" }>;

export function Overview({ told, view }: { readonly told: Told; readonly view: OverviewReport }) {
  const { overview, samples } = told;
  if (overview === undefined) return null;
  return (
    <>
      <Figures overview={overview} />
      <div class="halves">
        <section class="card" aria-labelledby="throughput-title">
          <ThroughputChart samples={samples} />
        </section>
        <section class="card" aria-labelledby="map-title">
          <h2 id="map-title">Nodes</h2>
          <NodeMap nodes={view.nodes} />
        </section>
      </div>
      <Part title="Busiest services" link={hashOf({ view: "services" })} more={`all ${count(view.services.matching)}`}>
        <div class="cards">
          {view.services.rows.map((service) => (
            <ServiceCard key={service.name} service={service} />
          ))}
        </div>
      </Part>
      <Part title="Policies in use" link={hashOf({ view: "policies" })} more="all">
        <div class="cards">
          {view.policies.map((policy) => (
            <PolicyCard key={policy.name} policy={policy} />
          ))}
        </div>
      </Part>
      <Part title="Dropped packets" link={hashOf({ view: "drops" })} more="all">
        <DropTable rows={view.drops} />
      </Part>
      <Part title="Last events" link={hashOf({ view: "events" })} more="all">
        <EventList rows={view.events} />
      </Part>
    </>
  );
}

function Figures({ overview: { sample, nodes, flowsLimit } }: { readonly overview: PageOverview }) {
  const { rates, flows } = sample;
  const all = nodes.reachable + nodes.lost + nodes.unknown;
  return (
    <dl class="figures">
      <Figure
        name="To other nodes"
        value={rates && bits(rates.egressBytes)}
        note={rates && packets(rates.egressPackets)}
      />
      <Figure
        name="From other nodes"
        value={rates && bits(rates.ingressBytes)}
        note={rates && packets(rates.ingressPackets)}
      />
      <Figure name="On this node" value={rates && bits(rates.localBytes)} note={rates && packets(rates.localPackets)} />
      <Figure
        name="Flows"
        value={count(flows)}
        note={`${percent(flows / flowsLimit)} of the table${rates && rates.flowsOpened > 0 ? ` · ${perSecond(rates.flowsOpened)} new` : ""}`}
      />
      <Figure
        name="Dropped"
        value={rates && perSecond(rates.drops)}
        note="packets"
        mood={rates !== null && rates.drops > 0 ? "warning" : ""}
      />
      <Figure
        name="Nodes that answer"
        value={`${nodes.reachable} of ${all}`}
        note={nodes.lost > 0 ? `${nodes.lost} lost` : nodes.unknown > 0 ? `${nodes.unknown} answer no probes` : "all"}
        mood={nodes.lost > 0 ? "bad" : ""}
      />
    </dl>
  );
}

interface FigureProps {
  readonly name: string;
  readonly value: string | null;
  readonly note: string | null;
  readonly mood?: string;
}

function Figure({ name, value, note, mood = "" }: FigureProps) {
  return (
    <div class={`card figure ${mood}`}>
      <dt>{name}</dt>
      <dd>{value ?? "–"}</dd>
      <dd class="note">{note ?? "measuring"}</dd>
    </div>
  );
}

interface PartProps {
  readonly title: string;
  readonly link: string;
  readonly more: string;
  readonly children: preact.ComponentChildren;
}

function Part({ title, link, more, children }: PartProps) {
  return (
    <section class="part">
      <div class="tools">
        <h2>{title}</h2>
        <a href={link}>
          {more}
          <span class="unseen"> {title.toLowerCase()}</span> →
        </a>
      </div>
      {children}
    </section>
  );
}

function packets(rate: number): string {
  return `${quantity(Math.round(rate), "")} packets/s`;
}
