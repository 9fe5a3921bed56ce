// The description of the control socket: it has every route and nothing else, and the proxy's answers are as it says.
import { expect, test } from "vitest";
import * as z from "zod";
import { ROUTES } from "../../../../src/control/api/api.ts";
import { describeRoutes } from "../../../../src/control/api/openapi.ts";
import { JsonText, queryOf } from "../../../../src/control/api/route.ts";
import { ByteStream } from "../../../../src/control/observe/byte-stream.ts";
import { Page } from "../../../../src/control/observe/pages.ts";
import { FakeSource } from "../../../support/control-source.ts";

const DESCRIPTION = JSON.parse(JSON.stringify(describeRoutes(ROUTES)));

test("the document of the package is the one that is made from the routes", async () => {
  await expect(`${JSON.stringify(DESCRIPTION, undefined, 2)}\n`).toMatchFileSnapshot("../../../../docs/openapi.json");
});

test("it names every route with its parameters", () => {
  const described = Object.entries<Record<string, { parameters: { name: string }[] }>>(DESCRIPTION.paths).flatMap(
    ([path, methods]) =>
      Object.entries(methods).map(([method, { parameters }]) => [method, path, ...parameters.map(({ name }) => name)]),
  );
  expect(described.sort()).toEqual(
    ROUTES.map(({ method, path, query }) => [
      method.toLowerCase(),
      path,
      ...(path.includes("{name}") ? ["name"] : []),
      ...Object.keys(query.shape),
    ]).sort(),
  );
});

test("every reference in it leads to a schema", () => {
  const references = [...JSON.stringify(DESCRIPTION).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
  expect(references.length).toBeGreaterThan(ROUTES.length);
  for (const [, id = ""] of references) expect(DESCRIPTION.components.schemas).toHaveProperty(id);
});

test.each(ROUTES.map((route) => [`${route.method} ${route.path}`, route] as const))(
  "%s answers what its schema says, and no other field",
  async (_title, route) => {
    const query = queryOf(route, new URLSearchParams());
    const bodies = {
      "application/json": { name: "udp-gro", on: false, address: "10.30.77.77", to: "node-c" },
      "application/yaml": "services: []",
      "application/wasm": Uint8Array.of(0),
    };
    const body = route.body && bodies[route.body.type];
    const handled = await route.handle(new FakeSource().parts, { query, name: "closest", body });
    const answer = handled instanceof JsonText ? JSON.parse([...handled.pieces].join("")) : bodyOf(handled);
    const parsed = z.parse(route.answers, answer);
    expect(parsed).toEqual(answer);
  },
);

/** What a page or a stream says, or the report itself. */
function bodyOf(handled: unknown): unknown {
  if (handled instanceof ByteStream) return textOf(handled);
  if (!(handled instanceof Page)) return handled;
  return handled.contentType === "application/json" ? JSON.parse(handled.body) : handled.body;
}

function textOf(stream: ByteStream): string {
  let text = "";
  stream.start({
    write: (bytes) => {
      text += Buffer.from(bytes).toString("latin1");
    },
    waiting: 0,
    end: () => undefined,
  });
  return text;
}
