// Flows that match a filter.

import type { PageViewReport } from "../model/page-reports.ts";
import { count, duration, endpoint } from "./format.ts";
import { Filter, Pager } from "./list-tools.tsx";
import { TableHead } from "./table-head.tsx";
import type { ViewProps } from "./view-props.ts";

type Flows = Extract<PageViewReport, { view: "flows" }>;

export function FlowsView({ view, place }: ViewProps & { readonly view: Flows }) {
  return (
    <section aria-labelledby="flows-title">
      <div class="tools">
        <h2 id="flows-title">Flows</h2>
        <Filter place={place} label="Filter" hint="tcp 10.30.0.2 :80 service#1 node tcpEstablished" />
      </div>
      <p class="note">Each word must be somewhere in a row. Connections that are over stay in the table for a while.</p>
      <div class="scroll">
        <table>
          <TableHead
            columns={[
              "Protocol",
              "Client",
              "Called",
              "Served by",
              "State",
              { figure: "Idle" },
              { figure: "Packets out" },
              { figure: "back" },
            ]}
          />
          <tbody>
            {view.rows.map((flow) => (
              <tr key={`${flow.protocol} ${flow.client} ${flow.clientPort} ${flow.called} ${flow.calledPort}`}>
                <td>{flow.protocol}</td>
                <td>
                  <code>{endpoint(flow.client, flow.clientPort)}</code>
                </td>
                <td>
                  <code>{endpoint(flow.called, flow.calledPort)}</code>
                </td>
                <td>
                  {flow.service === null ? (
                    <em>left the tables</em>
                  ) : (
                    <>
                      {flow.service} <b>{flow.instance}</b> on {flow.node}
                    </>
                  )}
                </td>
                <td>{flow.state}</td>
                <td class="number">{duration(flow.idleMs)}</td>
                <td class="number">{count(flow.forwardPackets)}</td>
                <td class="number">{count(flow.reversePackets)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Pager place={place} rows={view} what="flows" />
    </section>
  );
}
