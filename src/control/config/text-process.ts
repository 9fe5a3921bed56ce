// Entry of the process that holds a long text, and reads it as what it is told. It may die of it: its memory and
// processor time are limited.

import { readSync, writeSync } from "node:fs";
import { SapwoodError } from "../../base/errors.ts";
import type { Service } from "../../model/tables.ts";
import { messageOf, readMessage } from "../../sys/lean-process.ts";
import { becomeExpendable, limitProcessorTime } from "../../sys/limits.ts";
import { decodeTextFile, readStandardInput, readTextFileBytes } from "../../sys/user-file.ts";
import { checkedBy } from "../tables/table-validation.ts";
import { HeldText } from "./held-text.ts";
import { FrameKind, frameOf } from "./service-frame.ts";
import { processorLimit, type TextAnswer, type TextRequest, tablesOf, withTables } from "./text-contract.ts";

const [, , file] = process.argv;
const STANDARD_OUTPUT = 1;
const MESSAGES = 3;
/** In the place of the services in force, which are not needed here. */
const IN_FORCE: readonly Service[] = [];

function answerTo(held: () => HeldText, request: TextRequest): TextAnswer {
  try {
    const value = held().read(withoutServices(request), IN_FORCE, (lines) => writeAll(STANDARD_OUTPUT, lines));
    const tables = tablesOf(value);
    if (tables === undefined) return { kind: "read", value, keepsServices: true, checkedBy: undefined };
    const rest = withTables(value, { ...tables, services: [] });
    const keepsServices = tables.services === IN_FORCE;
    return { kind: "read", value: rest, keepsServices, checkedBy: checkedBy(tables) };
  } catch (error) {
    if (error instanceof SapwoodError) {
      const { code, message, details } = error;
      return { kind: "refused", code, message, details };
    }
    return { kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function withoutServices(request: TextRequest): TextRequest {
  const inForce = "inForce" in request.options ? request.options.inForce : undefined;
  if (inForce === undefined) return request;
  return { ...request, options: { ...request.options, inForce: { ...inForce, services: IN_FORCE } } };
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** False at the end of what comes. */
function fill(fd: number, into: Uint8Array): boolean {
  for (let at = 0; at < into.length; ) {
    const count = readSync(fd, into, at, into.length - at, null);
    if (count === 0) return false;
    at += count;
  }
  return true;
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new SapwoodError("tables-invalid", "The body must be YAML or JSON in UTF-8; found bytes that are no UTF-8.");
  }
}

function heldText(): HeldText {
  const bytes = received ?? readTextFileBytes(path);
  limitProcessorTime(processorLimit(bytes.length));
  return new HeldText(bytes, received === undefined ? (part) => decodeTextFile(path, part) : textOf);
}

becomeExpendable();
limitProcessorTime(processorLimit(0));
const path = file ?? "";
const received = file === undefined ? readStandardInput() : undefined;
let held: HeldText | undefined;
for (;;) {
  const request = readMessage((into) => fill(MESSAGES, into)) as TextRequest | undefined;
  if (request === undefined) break; // nobody asks any more
  const answer = answerTo(() => {
    held ??= heldText();
    return held;
  }, request);
  writeAll(STANDARD_OUTPUT, frameOf(FrameKind.end));
  writeAll(MESSAGES, messageOf(answer));
}
