// A configuration with very many services: read byte by byte into packed services, beside the parser, the schema and the
// rules one after the other.

import { ConfigDocument } from "../src/control/config/config-document.ts";
import { HeldText, writeWhole } from "../src/control/config/held-text.ts";
import { parseDocument } from "../src/control/config/parse-text.ts";
import { type TextRequest, tablesOf } from "../src/control/config/text-contract.ts";
import { BUILT_IN_POLICIES } from "../src/model/policy-names.ts";
import type { Case } from "./harness.ts";
import { manyServicesConfig } from "./publish/many-services.ts";

const SERVICES = 10_000;
const INSTANCES = 10 * SERVICES;
const REQUEST: TextRequest = {
  kind: "config",
  name: "text",
  options: { policies: BUILT_IN_POLICIES, inForce: { nodes: [], services: [] } },
};

function requireAll(length: number): void {
  if (length < INSTANCES) throw new Error(`expected ${SERVICES} services, found ${length} bytes`);
}

export async function serviceTextCases(): Promise<readonly Case[]> {
  const text = manyServicesConfig({ services: SERVICES, instances: INSTANCES }, 1);
  const bytes = Buffer.from(text);
  const decode = (part: Uint8Array): string => new TextDecoder().decode(part);
  return [
    {
      name: "services in JSON, per instance",
      unit: "ns",
      fast: {
        amount: INSTANCES,
        run: () => {
          let read = 0;
          new HeldText(bytes, decode).read(REQUEST, [], (frames) => {
            read += frames.length;
          });
          requireAll(read);
        },
      },
      twin: {
        amount: INSTANCES,
        run: () => {
          const tables = tablesOf(parseDocument(new ConfigDocument(text, REQUEST.name), REQUEST));
          let written = 0;
          writeWhole(tables?.services ?? [], (frames) => {
            written += frames.length;
          });
          requireAll(written);
        },
      },
    },
  ];
}
