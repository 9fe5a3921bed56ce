// The page: the headline, the places that one can go to, and the one that is looked at.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { PageQuery, PageView } from "../model/page-reports.ts";
import { Connection, NOTHING_TOLD, type Told } from "./connection.ts";
import { duration } from "./format.ts";
import { HeadlineBanner } from "./headline-banner.tsx";
import { Orders, type Outcome } from "./orders.ts";
import { hashOf, placeOf } from "./place.ts";
import { TokenForm } from "./token-form.tsx";
import { ViewOf } from "./view-of.tsx";

const TOKEN_KEY = "sapwood-token";
const NAMES: Readonly<Record<PageView, string>> = {
  overview: "Overview",
  services: "Services",
  flows: "Flows",
  nodes: "Nodes",
  policies: "Policies",
  drops: "Drops",
  events: "Events",
};

export function App() {
  const place = usePlace();
  const [token, setToken] = useState(() => sessionStorage.getItem(TOKEN_KEY) ?? "");
  const [told, connection] = useConnection(place, token);
  const [outcome, setOutcome] = useState<Outcome>();
  const orders = useMemo(
    () => (told.overview?.takesOrders === true ? new Orders(token) : undefined),
    [told.overview?.takesOrders, token],
  );
  const authorize = (given: string): void => {
    sessionStorage.setItem(TOKEN_KEY, given);
    setToken(given);
    connection.current?.authorize(given);
  };
  const forget = (): void => {
    sessionStorage.removeItem(TOKEN_KEY);
    setToken("");
    connection.current?.authorize("");
  };
  useEffect(() => {
    const node = told.overview?.node;
    const mood = told.overview?.headline.mood;
    if (node !== undefined) document.title = `${mood === "well" ? "" : "⚠ "}${node} – sapwood`;
  }, [told.overview?.node, told.overview?.headline.mood]);

  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the content
      </button>
      <header class="top">
        <div class="brand">
          <img src="/page/icon.svg" alt="" width="28" height="28" />
          <div>
            <h1>{told.overview?.node ?? "sapwood"}</h1>
            <p>{told.overview === undefined ? "node" : aboutOf(told)}</p>
          </div>
        </div>
        <LiveMark told={told} />
        {told.overview?.takesOrders === true && (
          <button type="button" class="quiet" onClick={forget}>
            Forget token
          </button>
        )}
      </header>
      {told.state === "token" ? (
        <main id="main" tabIndex={-1}>
          <TokenForm problem={told.problem} onToken={authorize} />
        </main>
      ) : (
        <>
          <HeadlineBanner told={told} />
          <nav aria-label="Parts of the page">
            <ul>
              {Object.entries(NAMES).map(([view, name]) => (
                <li key={view}>
                  <a href={hashOf({ view: view as PageView })} aria-current={view === place.view ? "page" : undefined}>
                    {name}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <main id="main" tabIndex={-1} aria-label={NAMES[place.view]} data-state={told.state}>
            <ViewOf told={told} place={place} orders={orders} onOutcome={setOutcome} />
          </main>
        </>
      )}
      <div class="outcome" role="status">
        {outcome !== undefined && (
          <p class={outcome.isDone ? "well" : "bad"}>
            {outcome.text}
            <button type="button" class="quiet" onClick={() => setOutcome(undefined)}>
              Close
            </button>
          </p>
        )}
      </div>
      <footer>
        <a href="/page/licenses.txt">Licences of the libraries in this page</a>
      </footer>
    </>
  );
}

function LiveMark({ told }: { readonly told: Told }) {
  const words = { connecting: "connecting", live: "live", broken: "not connected", token: "locked" }[told.state];
  return (
    <p class={`live ${told.state}`}>
      <span class="dot" aria-hidden="true" />
      {words}
    </p>
  );
}

function aboutOf({ overview }: Told): string {
  if (overview === undefined) return "";
  return `sapwood ${overview.version} · up ${duration(overview.uptimeMs)} · generation ${overview.generation}`;
}

/** What the address says, as it changes. */
function usePlace(): PageQuery {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  useEffect(() => {
    const onChange = (): void => setPlace(placeOf(location.hash));
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  return place;
}

function useConnection(place: PageQuery, token: string) {
  const [told, setTold] = useState(NOTHING_TOLD);
  const connection = useRef<Connection>(undefined);
  // One connection for the life of the page.
  useEffect(() => {
    connection.current = new Connection(place, token, setTold);
    return () => connection.current?.close();
  }, []);
  useEffect(() => connection.current?.look(place), [place]);
  return [told, connection] as const;
}
