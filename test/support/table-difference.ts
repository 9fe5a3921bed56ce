// From one state of the tables to another, as the control plane tells its writer.

import { sendersOf } from "../../src/control/tables/table-store.ts";
import type { TableChange, TableNode } from "../../src/memory/table-change.ts";
import type { Tables } from "../../src/model/tables.ts";

/** What turns one generation into the next. */
export function difference(from: Tables, to: Tables): TableChange {
  const nodes = to.nodes.map((node): TableNode => {
    const { id, underlay, accept } = node;
    const senders = sendersOf(node, underlay);
    return { id, underlay, senders, accept, distanceKm: Number.NaN };
  });
  return {
    setNodes: nodes.filter((node) => {
      const before = from.nodes.find((one) => one.id === node.id);
      const now = to.nodes.find((one) => one.id === node.id);
      return JSON.stringify([before?.underlay, before?.accept]) !== JSON.stringify([now?.underlay, now?.accept]);
    }),
    removeNodes: from.nodes.map((one) => one.id).filter((id) => !to.nodes.some((one) => one.id === id)),
    setServices: to.services.filter((service) => {
      const before = from.services.find((one) => one.name === service.name);
      return JSON.stringify(before) !== JSON.stringify(service);
    }),
    removeServices: from.services
      .map((one) => one.name)
      .filter((name) => !to.services.some((one) => one.name === name)),
  };
}
