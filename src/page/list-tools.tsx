// What lists have around them: a filter, and the way to the other rows.

import { useEffect, useRef, useState } from "preact/hooks";
import type { PageQuery, PageRows } from "../model/page-reports.ts";
import { count } from "./format.ts";
import { hashOf } from "./place.ts";

const TYPING_MS = 250;

interface FilterProps {
  readonly place: PageQuery;
  readonly label: string;
  readonly hint: string;
}

/** What is typed becomes the place that the page is at, a moment after the last key. */
export function Filter({ place, label, hint }: FilterProps) {
  const [text, setText] = useState(place.filter);
  const input = useRef<HTMLInputElement>(null);
  const said = useRef(place.filter);
  // Another place than the one that was said last is somebody's step back. What was typed since then is kept otherwise.
  useEffect(() => {
    if (place.filter === said.current) return;
    said.current = place.filter;
    setText(place.filter);
  }, [place.filter]);
  useEffect(() => {
    if (text === place.filter) return;
    const timer = setTimeout(() => {
      said.current = text;
      location.replace(hashOf({ ...place, filter: text, offset: 0 }));
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, place]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <label class="filter">
      <span>{label}</span>
      <input
        ref={input}
        type="search"
        value={text}
        placeholder={hint}
        spellcheck={false}
        aria-keyshortcuts="/"
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </label>
  );
}

interface PagerProps {
  readonly place: PageQuery;
  readonly rows: PageRows<unknown>;
  readonly what: string;
}

export function Pager({ place, rows: { rows, matching, offset }, what }: PagerProps) {
  const step = Math.max(rows.length, 50);
  const isFirst = offset === 0;
  const isLast = offset + rows.length >= matching;
  const text =
    matching === 0
      ? `No ${what}`
      : rows.length === 0
        ? `${count(matching)} ${what}`
        : `${count(offset + 1)}–${count(offset + rows.length)} of ${count(matching)} ${what}`;
  return (
    <div class="pager">
      <p aria-live="polite">{text}</p>
      {!(isFirst && isLast) && (
        <span>
          <PageLink place={{ ...place, offset: Math.max(0, offset - step) }} isOff={isFirst} text="Previous" />
          <PageLink place={{ ...place, offset: offset + step }} isOff={isLast} text="Next" />
        </span>
      )}
    </div>
  );
}

function PageLink({
  place,
  isOff,
  text,
}: {
  readonly place: PageQuery;
  readonly isOff: boolean;
  readonly text: string;
}) {
  return isOff ? (
    <span class="button off" aria-hidden="true">
      {text}
    </span>
  ) : (
    <a class="button" href={hashOf(place)}>
      {text}
    </a>
  );
}
