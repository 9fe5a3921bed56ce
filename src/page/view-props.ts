// What a view may need beside its rows.

import type { PageQuery } from "../model/page-reports.ts";
import type { Orders, Outcome } from "./orders.ts";

export interface ViewProps {
  readonly place: PageQuery;
  /** Undefined while the page only reads. */
  readonly orders: Orders | undefined;
  readonly onOutcome: (outcome: Outcome) => void;
}
