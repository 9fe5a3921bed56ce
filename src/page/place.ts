// Where a person is on the page: the part after "#" of the address, so that it can be kept, shared and gone back to.

import { PAGE_VIEWS, type PageQuery, type PageView, SERVICE_ORDERS } from "../model/page-reports.ts";

const START: PageQuery = { view: "overview", filter: "", offset: 0, order: "name" };

/** What makes no sense is taken for what is shown first. */
export function placeOf(hash: string): PageQuery {
  const [name = "", search = ""] = hash.replace(/^#/, "").split("?");
  const parameters = new URLSearchParams(search);
  const offset = Number(parameters.get("offset") ?? 0);
  return {
    view: PAGE_VIEWS.find((view) => view === name) ?? START.view,
    filter: parameters.get("filter") ?? START.filter,
    offset: Number.isSafeInteger(offset) && offset > 0 ? offset : START.offset,
    order: SERVICE_ORDERS.find((order) => order === parameters.get("order")) ?? START.order,
  };
}

export function hashOf(place: Partial<PageQuery> & { readonly view: PageView }): string {
  const search = parametersOf(place);
  search.delete("view");
  const text = search.toString();
  return text === "" ? `#${place.view}` : `#${place.view}?${text}`;
}

/** Those that differ from what is shown first. */
export function parametersOf(place: Partial<PageQuery>): URLSearchParams {
  const { view, filter, offset, order } = { ...START, ...place };
  const search = new URLSearchParams();
  if (view !== START.view) search.set("view", view);
  if (filter !== START.filter) search.set("filter", filter);
  if (offset !== START.offset) search.set("offset", String(offset));
  if (order !== START.order) search.set("order", order);
  return search;
}
