// What the process that holds a long text is asked, and what it answers. The services of an answer do not come with it
// but before it, on the process's standard output: packed, as service-frame.ts describes.

import type { ErrorCode, ErrorDetail } from "../../base/errors.ts";
import type { Tables, TablesPatch } from "../../model/tables.ts";
import type { TableSizes } from "../tables/emptying.ts";
import type { Config, ParseTablesOptions } from "./config.ts";

/** The policies that there are, and the tables in force. */
interface ConfigContext {
  readonly policies: readonly string[];
  readonly inForce: Tables;
  readonly sizesInForce?: TableSizes | undefined;
  /** By originsOf(): services that are in force as the text has them come back as they are, and are not checked. */
  readonly origins?: string | undefined;
}

const LIMIT_S = 60;
/** Several times what JSON takes; YAML takes more. */
const LIMIT_S_PER_MIB = 1;

/** Seconds of processor time that a process may take that reads a text of so many bytes. */
export function processorLimit(sizeBytes: number): number {
  return LIMIT_S + Math.ceil((LIMIT_S_PER_MIB * sizeBytes) / 2 ** 20);
}

/** Each kind of text: what it is read with, and what it is read as. */
export interface TextKinds {
  readonly config: { readonly options: ConfigContext; readonly value: Config };
  /** Of a configuration, the state directory alone. */
  readonly state: { readonly options: Record<never, never>; readonly value: string };
  readonly tables: { readonly options: ParseTablesOptions; readonly value: Tables };
  readonly patch: { readonly options: Omit<ParseTablesOptions, "rules" | "inForce">; readonly value: TablesPatch };
}

export interface TextRequest<Kind extends keyof TextKinds = keyof TextKinds> {
  readonly kind: Kind;
  /** What errors call the text. */
  readonly name: string;
  readonly options: TextKinds[Kind]["options"];
}

export type TextAnswer =
  | {
      readonly kind: "read";
      readonly value: unknown;
      /** The text does not name services: those in force stay. */
      readonly keepsServices: boolean;
      /** As rulesKey() has them. */
      readonly checkedBy: string | undefined;
    }
  | {
      readonly kind: "refused";
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: readonly ErrorDetail[];
    }
  | { readonly kind: "failed"; readonly message: string };

type Value = TextKinds[keyof TextKinds]["value"];

/** The tables of what was read; none of a state directory. */
export function tablesOf(value: Value): Tables | undefined {
  if (typeof value === "string") return undefined;
  return "tables" in value ? value.tables : value;
}

/** The same value with other tables. */
export function withTables(value: Value, tables: Tables): Value {
  if (typeof value === "string") return value;
  return "tables" in value ? { ...value, tables } : { ...value, ...tables };
}
