// The HTTP API of Oakestra's NetManager, for its NodeEngine: only status 200 says that something was done.

import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import * as z from "zod";
import { SapwoodError } from "../../../base/errors.ts";
import { valueText } from "../../../base/issues.ts";
import type { Logger } from "../../../base/log.ts";
import { isRecord, withKnownKeys } from "./case-insensitive.ts";
import type { Netmanager } from "./netmanager.ts";

const BODY_MAX_BYTES = 64 * 1024;
const NUMBER_MAX = 0xffff_ffff;

const text = z.string("expected text").default("");
/** Releases differ in how they call the broker's host. */
const registration = z.object({ client_id: text, cluster_address: text, cluster_ip: text });
const instance = {
  serviceName: text,
  instanceNumber: z.int("expected a whole number").min(0, "expected 0 or more").max(NUMBER_MAX).default(0),
  pid: z.int("expected a whole number").default(0),
  portMappings: text,
};
const order = z.object(instance);

/** The process id of a unikernel is that of nobody. */
const UNIKERNEL_ROUTE = "/unikernel/deploy";
/** A WebAssembly module runs in a process with a network namespace, as a container does. */
const DEPLOY_ROUTES = ["/container/deploy", "/wasm/deploy", UNIKERNEL_ROUTE];
const UNDEPLOY_ROUTES = ["/container/undeploy", "/docker/undeploy", "/wasm/undeploy", "/unikernel/undeploy"];
const ROUTES = ["/register", ...DEPLOY_ROUTES, ...UNDEPLOY_ROUTES];

type Actions = Pick<Netmanager, "register" | "deploy" | "undeploy">;

export function netmanagerApp(netmanager: Actions, log: Logger): Hono {
  const app = new Hono({ strict: false });
  app.use(
    bodyLimit({ maxSize: BODY_MAX_BYTES, onError: (context) => refusal(context, 400, "The body is too large.") }),
  );
  app.post("/register", async (context) => {
    const { client_id, cluster_address, cluster_ip } = await read(context, registration);
    await netmanager.register(client_id, cluster_address || cluster_ip);
    return context.body(null, 200);
  });
  for (const route of DEPLOY_ROUTES) {
    app.post(route, async (context) => {
      const { serviceName, instanceNumber, pid: given, portMappings } = await read(context, order);
      const pid = route === UNIKERNEL_ROUTE ? undefined : given;
      const wanted = { serviceName, instanceNumber, pid, portMappings };
      const { v4, v6 } = await netmanager.deploy(wanted, context.req.raw.signal);
      return context.json({ serviceName, nsAddress: v4, nsAddressv6: v6, nsAddressV6: v6 });
    });
  }
  for (const route of UNDEPLOY_ROUTES) {
    app.post(route, async (context) => {
      const { serviceName, instanceNumber } = await read(context, order);
      await netmanager.undeploy(serviceName, instanceNumber);
      return context.body(null, 200);
    });
  }
  for (const route of ROUTES) {
    app.all(route, (context) => {
      context.header("allow", "POST");
      return refusal(context, 405, `"${route}" takes POST; found ${context.req.method}.`);
    });
  }
  app.notFound((context) =>
    refusal(context, 404, `There is no "${context.req.path}"; there are ${ROUTES.join(", ")}.`),
  );
  app.onError((error, context) => {
    log.error({ route: context.req.path, err: error instanceof SapwoodError ? undefined : error }, error.message);
    if (error instanceof SapwoodError) return refusal(context, error.code === "usage" ? 400 : 500, error.message);
    return refusal(context, 500, "The request met an unexpected error; the log has it.");
  });
  return app;
}

/** Keys count in any case; what is not known is left alone. Throws usage. */
async function read<Shape extends z.ZodRawShape>(
  context: Context,
  schema: z.ZodObject<Shape>,
): Promise<z.output<z.ZodObject<Shape>>> {
  const body: unknown = await context.req.json().catch(() => undefined);
  if (!isRecord(body)) throw new SapwoodError("usage", "The body must be a JSON object.");
  const known = withKnownKeys(body, Object.keys(schema.shape));
  const given = Object.fromEntries(Object.entries(known).filter(([, value]) => value !== null));
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const sentences = parsed.error.issues.map(({ path, message }) => {
    return `${path.join(".")}: ${message}, found ${valueText(given[String(path[0])])}`;
  });
  throw new SapwoodError("usage", `${sentences.join("; ")}.`);
}

function refusal(context: Context, status: 400 | 404 | 405 | 500, message: string): Response {
  return context.json({ error: message }, status);
}
