// Mutants that are kept: for each way in which a packet ended, the shortest one that did (test/corpus/engine.jsonl).
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Message } from "../reference/translator.ts";

export interface EngineCase {
  /** How it ended when it was found; it needs the flows of that moment to end so again. */
  readonly ended: string;
  readonly frame?: Uint8Array;
  readonly message?: Message;
}

interface Line {
  readonly ended: string;
  readonly frame?: string;
  readonly message?: Omit<Message, "bytes"> & { readonly bytes: string };
}

export function readEngineCases(path: string): EngineCase[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").trim().split("\n");
  return lines.map((text) => {
    const { ended, frame, message } = JSON.parse(text) as Line;
    return {
      ended,
      ...(frame !== undefined && { frame: bytesOf(frame) }),
      ...(message !== undefined && { message: { ...message, bytes: bytesOf(message.bytes) } }),
    };
  });
}

/** Of several that ended in the same way the shortest is kept. */
export function keepEngineCases(path: string, found: readonly EngineCase[]): number {
  const shortest = new Map<string, EngineCase>();
  for (const one of [...readEngineCases(path), ...found]) {
    const known = shortest.get(one.ended);
    if (known === undefined || lengthOf(one) < lengthOf(known)) shortest.set(one.ended, one);
  }
  const lines = [...shortest.values()]
    .sort((a, b) => (a.ended < b.ended ? -1 : 1))
    .map(({ ended, frame, message }): Line => {
      if (message === undefined) return { ended, frame: hex(frame ?? new Uint8Array()) };
      return { ended, message: { ...message, bytes: hex(message.bytes) } };
    });
  writeFileSync(path, `${lines.map((line) => JSON.stringify(line)).join("\n")}\n`);
  return lines.length;
}

function lengthOf({ frame, message }: EngineCase): number {
  return frame?.length ?? message?.bytes.length ?? 0;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
