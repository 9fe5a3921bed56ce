// All nodes in a table: what the map shows, and more.

import type { PageNode, PageViewReport } from "../model/page-reports.ts";
import { count, duration, endpoint, percent, perSecond, roundTrip } from "./format.ts";
import { Filter, Pager } from "./list-tools.tsx";
import { TableHead } from "./table-head.tsx";
import type { ViewProps } from "./view-props.ts";

type Nodes = Extract<PageViewReport, { view: "nodes" }>;

const STATE_WORDS = { reachable: "answers", lost: "lost", unknown: "answers no probes" } as const;

export function NodesView({ view, place, orders, onOutcome }: ViewProps & { readonly view: Nodes }) {
  const drain = ({ id, instances, draining }: PageNode): void => {
    const isDraining = draining < instances;
    const question = isDraining
      ? `Drain ${id}? Its ${instances} instances take no new flows until they are told to; flows that are there go on.`
      : `Have the ${instances} instances of ${id} take new flows again?`;
    if (confirm(question)) void orders?.drain({ node: id, draining: isDraining }).then(onOutcome);
  };
  return (
    <section aria-labelledby="nodes-title">
      <div class="tools">
        <h2 id="nodes-title">Nodes</h2>
        <Filter place={place} label="Filter" hint="name, state or address" />
      </div>
      <div class="scroll">
        <table>
          <TableHead
            columns={[
              "Node",
              "State",
              { figure: "Round trip" },
              { figure: "Probes lost" },
              { figure: "Path MTU" },
              { figure: "Distance" },
              { figure: "Instances" },
              { figure: "Flows" },
              { figure: "Packets" },
              "Underlay",
              ...(orders === undefined ? [] : ["Orders"]),
            ]}
          />
          <tbody>
            {view.rows.map((node) => (
              <tr key={node.id} class={node.state === "lost" ? "bad" : ""}>
                <th scope="row">{node.id}</th>
                <td>
                  <NodeState node={node} />
                </td>
                <td class="number">{node.isLocal ? "" : roundTrip(node.rttMs)}</td>
                <td class="number">{node.loss === null ? "" : percent(node.loss)}</td>
                <td class="number">{node.mtu === null ? "" : count(node.mtu)}</td>
                <td class="number">{node.distanceKm === null ? "" : `${count(node.distanceKm)} km`}</td>
                <td class="number">
                  {count(node.instances)}
                  {node.draining > 0 && <small> ({count(node.draining)} draining)</small>}
                </td>
                <td class="number">{count(node.flows)}</td>
                <td class="number">{node.packets === null ? "" : perSecond(node.packets)}</td>
                <td>
                  <code>{endpoint(node.address, node.port)}</code>
                  {node.encryption !== "none" && <small> {node.encryption}</small>}
                </td>
                {orders !== undefined && (
                  <td>
                    {node.instances > 0 && (
                      <button type="button" onClick={() => drain(node)}>
                        {node.draining < node.instances ? "Drain" : "Take flows again"}
                      </button>
                    )}
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Pager place={place} rows={view} what="nodes" />
    </section>
  );
}

function NodeState({ node: { isLocal, state, stateAgeMs } }: { readonly node: PageNode }) {
  if (isLocal) return <span class="state well">this node</span>;
  const mood = { reachable: "well", lost: "bad", unknown: "" }[state];
  return (
    <span class={`state ${mood}`}>
      {STATE_WORDS[state]}
      {state === "lost" && stateAgeMs !== null && <small> since {duration(stateAgeMs)}</small>}
    </span>
  );
}
