// Which interfaces the main table's routes lead to.

import { contains, familyOf, type Prefix, parseAddress, parsePrefix } from "../net/address.ts";
import { ip, parseList } from "./ip-command.ts";

interface Route {
  readonly prefix: Prefix;
  readonly devices: readonly string[];
}

/** Routes at one moment. */
export class Routes {
  readonly #routes: readonly Route[];

  private constructor(routes: readonly Route[]) {
    this.#routes = routes;
  }

  static async read(): Promise<Routes> {
    return new Routes(await readRoutes());
  }

  /** The interfaces by which packets to these canonical addresses leave. */
  linksTo(addresses: readonly string[]): Set<string> {
    return new Set(addresses.flatMap((address) => devicesTo(address, this.#routes)));
  }

  /** The same for addresses that are near: a default route leads to none of them. */
  nearLinksTo(addresses: readonly string[]): Set<string> {
    const routes = this.#routes.filter(({ prefix }) => prefix.length > 0);
    return new Set(addresses.flatMap((address) => devicesTo(address, routes)));
  }
}

/** By the longest prefix. */
function devicesTo(address: string, routes: readonly Route[]): readonly string[] {
  const bytes = parseAddress(address);
  if (bytes === undefined) return [];
  let best: Route | undefined;
  for (const route of routes) {
    if (route.prefix.family !== familyOf(address)) continue;
    if (contains(route.prefix, bytes) && route.prefix.length > (best?.prefix.length ?? -1)) best = route;
  }
  return best?.devices ?? [];
}

async function readRoutes(): Promise<Route[]> {
  const families = [
    ["-4", "0.0.0.0/0", 32],
    ["-6", "::/0", 128],
  ] as const;
  const lists = await Promise.all(
    families.map(async ([family, all, hostLength]) =>
      parseList(await ip([family, "-json", "route", "show"])).flatMap((route) => {
        const devices = devicesOf(route);
        const dst = String(route.dst);
        const text = dst === "default" ? all : dst.includes("/") ? dst : `${dst}/${hostLength}`;
        return devices.length === 0 ? [] : [{ prefix: parsePrefix(text), devices }];
      }),
    ),
  );
  return lists.flat();
}

/** Of a route, or of each of its ways. */
function devicesOf({ dev, nexthops }: Record<string, unknown>): string[] {
  const hops = Array.isArray(nexthops) ? (nexthops as readonly { readonly dev?: unknown }[]) : [];
  return [dev, ...hops.map((hop) => hop.dev)].filter((name) => typeof name === "string");
}
