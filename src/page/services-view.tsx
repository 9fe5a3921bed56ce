// Services with the share of each instance, a page of them at a time.

import type { PageService, PageViewReport } from "../model/page-reports.ts";
import { count } from "./format.ts";
import { Filter, Pager } from "./list-tools.tsx";
import { hashOf } from "./place.ts";
import { ShareBar, ShareList } from "./shares.tsx";
import type { ViewProps } from "./view-props.ts";

type Services = Extract<PageViewReport, { view: "services" }>;

export function ServicesView({ view, place, orders, onOutcome }: ViewProps & { readonly view: Services }) {
  const drain = (service: string, instance: number, draining: boolean): void =>
    void orders?.drain({ service, instance, draining }).then(onOutcome);
  return (
    <section aria-labelledby="services-title">
      <div class="tools">
        <h2 id="services-title">Services</h2>
        <Filter place={place} label="Filter" hint="name, address, policy or node" />
        <fieldset class="order">
          <legend>Order</legend>
          <a href={hashOf({ ...place, order: "name", offset: 0 })} aria-current={place.order === "name"}>
            by name
          </a>
          <a href={hashOf({ ...place, order: "flows", offset: 0 })} aria-current={place.order === "flows"}>
            busiest
          </a>
        </fieldset>
      </div>
      <p class="note">Flows of this node's clients, by the instance that serves them.</p>
      <div class="cards">
        {view.rows.map((service) => (
          <ServiceCard key={service.name} service={service} onDrain={orders && drain} />
        ))}
      </div>
      <Pager place={place} rows={view} what="services" />
    </section>
  );
}

interface ServiceCardProps {
  readonly service: PageService;
  readonly onDrain?: ((service: string, instance: number, draining: boolean) => void) | undefined;
}

export function ServiceCard({ service, onDrain }: ServiceCardProps) {
  const { name, addresses, instances, others, flows, ended } = service;
  const shares = instances.map(({ number, node, flows, ended }) => ({ number, node, value: flows + ended }));
  return (
    <article class="card service">
      <header>
        <h3>{name}</h3>
        <p>
          <b>{count(flows)}</b> live{ended > 0 && <small> · {count(ended)} ended</small>}
        </p>
      </header>
      <ul class="addresses">
        {addresses.map(({ address, policy }) => (
          <li key={address}>
            <code>{address}</code> {policy}
          </li>
        ))}
      </ul>
      <ShareBar shares={shares} label={`Shares of ${name}`} />
      <ShareList shares={instances} />
      {others > 0 && <p class="note">and {count(others)} instances with fewer flows</p>}
      {onDrain !== undefined && (
        <details>
          <summary>Drain</summary>
          {instances.map(({ number, node, draining }) => (
            <button type="button" key={number} onClick={() => onDrain(name, number, !draining)}>
              {draining ? `Take flows again: ${number} on ${node}` : `Drain ${number} on ${node}`}
            </button>
          ))}
        </details>
      )}
    </article>
  );
}
