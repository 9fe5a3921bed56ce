// What is in force, as a document, means the same tables again.

import { expect, test } from "vitest";
import { yamlPieces } from "../../../../src/cli/yaml-text.ts";
import { parseTables } from "../../../../src/control/config/config.ts";
import { tablesJson } from "../../../../src/control/tables/tables-document.ts";
import type { Tables } from "../../../../src/model/tables.ts";
import { TABLES } from "../../../support/tables.ts";

const KEY = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
const EVERYTHING: Tables = {
  nodes: [
    ...TABLES.nodes,
    {
      id: "knoten-größe:7#'\"{}[],&*!|>%@`",
      underlay: { address: "198.51.100.4", port: 1, wireguardPort: 2, encryption: "wireguard" },
      accept: { anyPort: true, anyAddress: true, addresses: ["198.51.100.5", "2001:db8::5"], unknownSources: true },
      publicKey: KEY,
      nextPublicKey: KEY.replace("3", "4"),
      location: { latitude: -0.000001, longitude: 180 },
    },
  ],
  services: [
    ...TABLES.services,
    ...["yes", "~", "null", "12", "0x1f", "1e3", "-", "- a", "東京", "a.b-c_d", ".5", "?", "2001-01-01"].map(
      (text) => ({
        name: text.replace(" ", "_"),
        addresses: [],
        instances: [],
      }),
    ),
  ],
};

function json(tables: Tables): string {
  return [...tablesJson(tables)].join("");
}

test.each([
  ["all kinds of fields", EVERYTHING],
  ["nothing at all", { nodes: [], services: [] }],
])("%s come back from JSON and from YAML", (_what, tables) => {
  expect(parseTables(json(tables), "tables")).toEqual(tables);
  const yaml = [...yamlPieces(JSON.parse(json(tables)))].join("");
  expect(parseTables(yaml, "tables")).toEqual(tables);
});

test("many services come in many pieces, and the first does not wait for the last", () => {
  const [service] = TABLES.services;
  const services = Array.from({ length: 10_000 }, (_, i) => ({ ...service, name: `s${i}` })) as Tables["services"];
  const pieces = [...tablesJson({ nodes: [], services })];
  expect(pieces.length).toBeGreaterThan(10);
  expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(100_000);
  expect(JSON.parse(pieces.join("")).services).toHaveLength(10_000);
});
