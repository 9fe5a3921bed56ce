// What the records of the memory map are described by (layout-records.ts): namespaces of constants, and sizes of fields.

import * as AddressLayout from "../../assembly/shared/layout/address.ts";
import * as CallerLayout from "../../assembly/shared/layout/caller.ts";
import * as CandidateLayout from "../../assembly/shared/layout/candidate.ts";
import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import * as FragmentLayout from "../../assembly/shared/layout/fragment.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import * as HealthPageLayout from "../../assembly/shared/layout/health-page.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as NodeLayout from "../../assembly/shared/layout/node.ts";
import * as NodeMetricsLayout from "../../assembly/shared/layout/node-metrics.ts";
import * as OutlierLayout from "../../assembly/shared/layout/outlier.ts";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import * as RefusalLayout from "../../assembly/shared/layout/refusal.ts";
import * as ServiceLayout from "../../assembly/shared/layout/service.ts";
import * as VerdictNoteLayout from "../../assembly/shared/layout/verdict-note.ts";
import * as WaitingLayout from "../../assembly/shared/layout/waiting.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { sourcesBelow, text } from "./source-files.ts";

interface Field {
  readonly bytes: number;
  readonly align?: number; // when it is not the size: arrays
  readonly typed?: { readonly record: string; readonly field: string }; // of a class in assembly/record
}

/** The constants of assembly/shared/layout, by namespace. */
export const LAYOUTS = {
  AddressLayout,
  CallerLayout,
  CandidateLayout,
  FlowLayout,
  FragmentLayout,
  HeaderLayout,
  HealthPageLayout,
  InstanceLayout,
  KernelLayout,
  NodeLayout,
  NodeMetricsLayout,
  OutlierLayout,
  ProbeLayout,
  RefusalLayout,
  ServiceLayout,
  VerdictNoteLayout,
  WaitingLayout,
  WorkerLayout,
} as const;

export interface LayoutRecord {
  readonly layout: keyof typeof LAYOUTS; // where its fields are
  readonly size: number;
  readonly fields: Readonly<Record<string, Field>>;
}

interface RecordType {
  readonly path: string;
  readonly fields: ReadonlyMap<string, string>; // the type of each by its name
  readonly cells: Readonly<Record<string, Field>>; // by their constants
}

const BYTES = { bool: 1, u8: 1, u16: 2, u32: 4, u64: 8, f64: 8, v128: 16 };

/** The classes in assembly/record. */
export const RECORD_TYPES: ReadonlyMap<string, RecordType> = new Map(
  sourcesBelow("assembly/record").flatMap((path) =>
    [...text(path).matchAll(/export class (\w+) \{(.*?)^\}/gms)].map(([, name = "", body = ""]) => {
      const fields = [...body.matchAll(/^ {2}(?:private )?(?!gap\d)(\w+): (\w+);/gm)];
      const types = fields.map(([, field = "", type = ""]): [string, string] => [field, type]);
      return [name, { path, fields: new Map(types), cells: cellsOf(body) }];
    }),
  ),
);

/** The cells that a source makes of constants. */
export function cellsOf(source: string): Readonly<Record<string, Field>> {
  const cells = [...source.matchAll(/Cell<(\w+)>>\(.*Layout\.(\w+)\);/g)];
  return Object.fromEntries(cells.map(([, type, name]) => [name, { bytes: BYTES[type as keyof typeof BYTES] }]));
}

/**
 * The fields of a class by their names in the layout: `namespaceV4` is NAMESPACE_V4, with the form "LOAD_*" `served` is
 * LOAD_SERVED. What else the record has is given; of a field that is the first of many, its size. A field that only the
 * engine needs has no constant of its name.
 */
export function fieldsOf(
  record: string,
  more: Readonly<Record<string, Field>> = {},
  { form = "*", only }: { readonly form?: string; readonly only?: readonly string[] } = {},
): Readonly<Record<string, Field>> {
  const fields: Record<string, Field> = { ...RECORD_TYPES.get(record)?.cells, ...more };
  for (const [field, type] of RECORD_TYPES.get(record)?.fields ?? []) {
    if (only?.includes(field) === false) continue;
    const name = form.replace("*", field.replace(/[A-Z]/g, "_$&").toUpperCase());
    fields[name] = { bytes: BYTES[type as keyof typeof BYTES], ...more[name], typed: { record, field } };
  }
  return fields;
}

export const u16: Field = { bytes: 2 };
export const u32: Field = { bytes: 4 };
export const u64: Field = { bytes: 8 };
export const address: Field = { bytes: 16, align: 8 };
export const endpoints: Field = { bytes: 2 * NodeLayout.ENDPOINT_SIZE, align: NodeLayout.ENDPOINT_SIZE };
export const page: Field = { bytes: HealthPageLayout.SIZE, align: 8 };

export function array(count: number, elementSize: number, align = Math.min(elementSize & -elementSize, 64)): Field {
  return { bytes: count * elementSize, align };
}

/** The name that the sources use for a field of a record. */
export function fieldName(record: LayoutRecord, field: string): string {
  return `${record.layout}.${field}`;
}
