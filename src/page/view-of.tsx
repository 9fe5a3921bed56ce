// The view for a place.

import type { Told } from "./connection.ts";
import { DropsView } from "./drops-view.tsx";
import { EventsView } from "./events-view.tsx";
import { FlowsView } from "./flows-view.tsx";
import { NodesView } from "./nodes-view.tsx";
import { Overview } from "./overview.tsx";
import { PoliciesView } from "./policies-view.tsx";
import { ServicesView } from "./services-view.tsx";
import type { ViewProps } from "./view-props.ts";

export function ViewOf({ told, ...props }: ViewProps & { readonly told: Told }) {
  const { view } = told;
  if (view === undefined || view.view !== props.place.view) return <p class="empty">Loading …</p>;
  switch (view.view) {
    case "overview":
      return <Overview told={told} view={view} />;
    case "services":
      return <ServicesView view={view} {...props} />;
    case "flows":
      return <FlowsView view={view} {...props} />;
    case "nodes":
      return <NodesView view={view} {...props} />;
    case "policies":
      return <PoliciesView view={view} {...props} />;
    case "drops":
      return <DropsView rows={view.rows} />;
    case "events":
      return <EventsView rows={view.rows} />;
  }
}
