// Why packets are dropped, and what to do about it.

import type { PageDrop } from "../model/page-reports.ts";
import { count, perSecond } from "./format.ts";
import { TableHead } from "./table-head.tsx";

const WHERE = { egress: "to other nodes", ingress: "from other nodes", kernel: "by the kernel" } as const;

export function DropsView({ rows }: { readonly rows: readonly PageDrop[] }) {
  return (
    <section aria-labelledby="drops-title">
      <div class="tools">
        <h2 id="drops-title">Dropped packets</h2>
      </div>
      <DropTable rows={rows} />
    </section>
  );
}

export function DropTable({ rows }: { readonly rows: readonly PageDrop[] }) {
  if (rows.length === 0) return <p class="empty">No packet was dropped since the proxy started.</p>;
  return (
    <div class="scroll">
      <table class="texts">
        <TableHead columns={["Reason", { figure: "Now" }, { figure: "Packets" }, "Meaning", "What to do"]} />
        <tbody>
          {rows.map(({ reason, direction, packets, perSecond: rate, meaning, advice }) => (
            <tr key={`${direction} ${reason}`} class={rate > 0 ? "active" : ""}>
              <th scope="row">
                {reason}
                <small> {WHERE[direction]}</small>
              </th>
              <td class="number">{rate > 0 ? perSecond(rate) : ""}</td>
              <td class="number">{count(packets)}</td>
              <td>{meaning}</td>
              <td>{advice}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
