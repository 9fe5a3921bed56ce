// Policies: which module is in force, how it spreads flows, and, with a token, another one in its place.

import { useRef } from "preact/hooks";
import type { PageModule, PagePolicy, PageSpread, PageViewReport } from "../model/page-reports.ts";
import { count, shortHash, things } from "./format.ts";
import { ShareBar } from "./shares.tsx";
import type { ViewProps } from "./view-props.ts";

type Policies = Extract<PageViewReport, { view: "policies" }>;

export function PoliciesView({ view, orders, onOutcome }: ViewProps & { readonly view: Policies }) {
  const load = (name: string, file: File): void => void orders?.loadPolicy(name, file).then(onOutcome);
  const rollBack = (name: string): void => {
    if (confirm(`Put the module before in force for ${name}?`)) void orders?.rollBackPolicy(name).then(onOutcome);
  };
  return (
    <section aria-labelledby="policies-title">
      <div class="tools">
        <h2 id="policies-title">Policies</h2>
      </div>
      <div class="cards">
        {view.rows.map((policy) => (
          <PolicyCard key={policy.name} policy={policy}>
            {orders !== undefined && (
              <div class="actions">
                <LoadButton name={policy.name} onFile={(file) => load(policy.name, file)} />
                {policy.previous !== null && (
                  <button type="button" onClick={() => rollBack(policy.name)}>
                    Roll back to {shortHash(policy.previous.sha256)}
                  </button>
                )}
              </div>
            )}
          </PolicyCard>
        ))}
      </div>
    </section>
  );
}

interface PolicyCardProps {
  readonly policy: PagePolicy;
  readonly children?: preact.ComponentChildren;
}

export function PolicyCard({ policy, children }: PolicyCardProps) {
  const { name, state, module, addresses, choices, choiceUs, faults, lastError, spread } = policy;
  return (
    <article class={`card policy ${state === "faulty" ? "bad" : ""}`}>
      <header>
        <h3>{name}</h3>
        <p>
          <span class={`state ${state === "faulty" ? "bad" : state === "in force" ? "well" : ""}`}>{state}</span>
        </p>
      </header>
      {module !== null && <ModuleLine module={module} />}
      <dl>
        <Fact name="addresses" value={count(addresses)} />
        <Fact name="choices" value={count(choices)} />
        <Fact name="a choice takes" value={choiceUs === null ? "–" : `${choiceUs.toFixed(2)} µs`} />
        <Fact name="faults" value={count(faults)} mood={faults > 0 ? "bad" : ""} />
      </dl>
      {lastError !== null && <p class="problem">{lastError}</p>}
      {spread.map((one) => (
        <Spread key={one.address} spread={one} />
      ))}
      {children}
    </article>
  );
}

function ModuleLine({ module: { sha256, source, loadedAt } }: { readonly module: PageModule }) {
  return (
    <p class="module">
      <code title={`sha256 ${sha256}`}>{shortHash(sha256)}</code> {source}
      <small> since {new Date(loadedAt).toLocaleString()}</small>
    </p>
  );
}

function Spread({ spread: { service, address, flows, instances } }: { readonly spread: PageSpread }) {
  const shares = instances.map(({ number, node, flows: value }) => ({ number, node, value }));
  return (
    <div class="spread">
      <p>
        {service} <code>{address}</code> <small>{things(flows, "flow")}</small>
      </p>
      <ShareBar shares={shares} label={`Spread of ${address}`} />
    </div>
  );
}

function Fact({ name, value, mood = "" }: { readonly name: string; readonly value: string; readonly mood?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class={mood}>{value}</dd>
    </div>
  );
}

function LoadButton({ name, onFile }: { readonly name: string; readonly onFile: (file: File) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const take = (): void => {
    const file = input.current?.files?.[0];
    if (file !== undefined) onFile(file);
    if (input.current !== null) input.current.value = "";
  };
  return (
    <>
      <button type="button" onClick={() => input.current?.click()}>
        Load a module …
      </button>
      <input ref={input} type="file" accept=".wasm" hidden aria-label={`Module for ${name}`} onChange={take} />
    </>
  );
}
