// The control socket as a reader: a request as a method, a path with its query, a line feed, a body.
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ControlApi, ROUTES } from "../../../src/control/api/api.ts";
import { FakeSource } from "../control-source.ts";
import { Fault, type Reader } from "./reader.ts";

const BODIES: Readonly<Record<string, string>> = {
  "POST /v1/drain": '{"node":"node-b","service":"b","instance":1,"draining":true}',
};
/** Answers that go on until their client leaves. */
const ENDLESS = /events|capture/;
/** A message names what was found; it does not repeat it all. */
const ANSWER_MAX = 40_000;

export async function apiReader(): Promise<Reader> {
  const folder = mkdtempSync(join(tmpdir(), "sapwood-fuzz-"));
  const socketPath = join(folder, "control.sock");
  const source = new FakeSource();
  const unforeseen: unknown[] = [];
  const api = await ControlApi.listen(socketPath, source.parts, (error) => unforeseen.push(error));
  const routes = ROUTES.filter(({ path }) => !ENDLESS.test(path));
  return {
    name: "api",
    seeds: routes.map(({ method, path, query, body }) => {
      const parameters = Object.keys(query.shape).map((name) => `${name}=1`);
      const target = path.replace("{name}", "random") + (parameters.length > 0 ? `?${parameters.join("&")}` : "");
      const content = body === undefined ? "" : (BODIES[`${method} ${path}`] ?? '{"a": "10.30.0.2", "limit": 1}');
      return Buffer.from(`${method} ${target}\n${content}`);
    }),
    words: [
      "?",
      "&",
      "%00",
      "%ff",
      "..",
      "//",
      "true",
      "limit=",
      "{name}",
      "__proto__=1",
      "+",
      "10.30.0.2",
      "9999999999",
    ],
    read: async (input) => {
      const end = input.indexOf(10);
      const [method = "", target = ""] = Buffer.from(end < 0 ? input : input.subarray(0, end))
        .toString("latin1")
        .split(/ (.*)/s);
      if (!/^[A-Z]{1,10}$/.test(method) || method === "CONNECT" || ENDLESS.test(decoded(target))) return;
      const path = `/${target.replace(/[^!-~]/g, (one) => `%${one.charCodeAt(0).toString(16).padStart(2, "0")}`).replace(/^\//, "")}`;
      const { status, length } = await ask(socketPath, method, path, input.subarray(end < 0 ? input.length : end + 1));
      const [error] = unforeseen.splice(0);
      if (error !== undefined) throw new Fault(`${method} ${path} met an unexpected error`, { cause: error });
      if (status === 500) throw new Fault(`${method} ${path} was answered with ${status}`);
      if (status >= 400 && length > ANSWER_MAX) throw new Fault(`a refusal of ${length} bytes`);
    },
    close: async () => {
      await api.close();
      rmSync(folder, { recursive: true });
    },
  };
}

function decoded(target: string): string {
  return target.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function ask(socketPath: string, method: string, path: string, body: Uint8Array) {
  return new Promise<{ readonly status: number; readonly length: number }>((resolve, reject) => {
    const asked = request({ socketPath, method, path, agent: false }, (response) => {
      let length = 0;
      response.on("data", (part: Buffer) => {
        length += part.length;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, length }));
      response.on("error", reject);
    });
    asked.on("error", reject).end(body);
  });
}
