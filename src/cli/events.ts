// `sapwood events`: what happened to a running proxy, and what to do about it.

import type { EventReport } from "../model/reports.ts";
import type { Command } from "./command.ts";
import { JSON_OPTION, SOCKET_OPTION } from "./query-command.ts";

/** Of the longest kind. */
const KIND_WIDTH = 16;

export const eventsCommand: Command = {
  name: "events",
  group: "Look at a running proxy",
  summary: "show what happened: nodes lost and found, faulty modules, refused changes, full tables",
  options: [
    { flags: "-f, --follow", summary: "go on, and show each event as it comes" },
    SOCKET_OPTION,
    { ...JSON_OPTION, summary: "print JSON, for programs; with --follow one object a line" },
  ],
  examples: [
    { line: "events", does: "the last thousand, with what to do about them" },
    { line: "events --follow", does: "until Ctrl-C" },
    { line: "events --follow --json", does: "the same for a program" },
  ],
  async run(input, terminal) {
    const [{ fetchReport }, { followLines }] = await Promise.all([import("./client.ts"), import("./follow.ts")]);
    const socket = input.text("socket");
    const isJson = input.flag("json");
    if (input.flag("follow")) {
      await followLines<EventReport>(socket, "/v1/events?follow=true", (event) =>
        terminal.print(isJson ? `${JSON.stringify(event)}\n` : eventText(event)),
      );
      return;
    }
    const events = await fetchReport<readonly EventReport[]>(socket, "/v1/events");
    if (isJson) terminal.print(`${JSON.stringify(events, undefined, 2)}\n`);
    else terminal.print(events.length === 0 ? "Nothing happened yet.\n" : events.map(eventText).join(""));
  },
};

function eventText({ at, kind, message, advice, untold }: EventReport): string {
  const more = untold === 0 ? "" : ` (and ${untold} more before it)`;
  const lines = [`${at}  ${kind.padEnd(KIND_WIDTH)}  ${message}${more}`];
  if (advice !== null) lines.push(`${" ".repeat(at.length + KIND_WIDTH + 4)}${advice}`);
  return `${lines.join("\n")}\n`;
}
