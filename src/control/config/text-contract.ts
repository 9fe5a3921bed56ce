// What the process that reads long texts is asked, and what it answers.

import type { ErrorCode, ErrorDetail } from "../../base/errors.ts";
import type { Tables, TablesPatch } from "../../model/tables.ts";
import type { Config, ParseTablesOptions } from "./config.ts";

/** The policies that there are, and the tables in force. */
interface ConfigContext {
  readonly policies: readonly string[];
  readonly inForce: Tables;
}

/** Each kind of text: what it is read with, and what it is read as. */
export interface TextKinds {
  readonly config: { readonly options: ConfigContext; readonly value: Config };
  readonly tables: { readonly options: ParseTablesOptions; readonly value: Tables };
  readonly patch: { readonly options: Omit<ParseTablesOptions, "rules" | "inForce">; readonly value: TablesPatch };
}

export interface TextRequest<Kind extends keyof TextKinds = keyof TextKinds> {
  readonly kind: Kind;
  readonly text: string;
  /** What errors call the text. */
  readonly name: string;
  readonly options: TextKinds[Kind]["options"];
}

export type TextAnswer =
  | { readonly kind: "read"; readonly value: unknown }
  | {
      readonly kind: "refused";
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: readonly ErrorDetail[];
    }
  | { readonly kind: "failed"; readonly message: string };
