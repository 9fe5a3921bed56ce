// /etc/netmanager/netcfg.json: who this node is and where its broker is. It is YAML by its loader's nature (so JSON
// with comments, trailing commas and unquoted numbers is read as well), keys count in any case, and environment
// variables of the same names override it.

import { parse } from "yaml";
import * as z from "zod";
import { SapwoodError } from "../../../base/errors.ts";
import { valueText } from "../../../base/issues.ts";
import { canonicalAddress } from "../../../net/address.ts";
import { readTextFile } from "../../../sys/user-file.ts";
import { isRecord, withKnownKeys } from "./case-insensitive.ts";
import { TAP_LAYOUTS, type TapLayout } from "./guest-network.ts";

const PORT_MAX = 65_535;

/** Stands for an address that is to be found out. */
export const DISCOVERED = "0.0.0.0";

const text = z
  .union([z.string(), z.number()], "expected text")
  .transform((value) => String(value))
  .default("");
const flag = z.boolean("expected true or false").default(false);

/** A field that is missing or empty has the value of the file that is shipped. */
function shipped(value: string) {
  return text.transform((found) => found || value);
}

const schema = z.object({
  NodePublicAddress: shipped(DISCOVERED),
  NodePublicPort: shipped("50103"),
  ClusterUrl: text,
  ClusterMqttPort: shipped("10003"),
  DefaultInterface: text,
  Debug: flag,
  PublicIPNetworking: flag,
  MqttCert: text,
  MqttKey: text,
  MqttCa: text,
  UnikernelTap: text,
});

type Field = keyof z.output<typeof schema>;
const FIELDS = Object.keys(schema.shape) as readonly Field[];
const FLAGS: readonly Field[] = ["Debug", "PublicIPNetworking"];
/** What Go's strconv.ParseBool understands. */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "T", "TRUE", "true", "True"].map((word) => [word, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((word) => [word, false] as const),
]);
export interface Netcfg {
  /** Canonical; DISCOVERED = the node finds it out. */
  readonly publicAddress: string;
  readonly publicPort: number;
  readonly clusterAddress: string; // name or address of the broker
  readonly clusterMqttPort: number;
  readonly defaultInterface: string; // "" = not given
  readonly debug: boolean;
  /** Whether the address that is found out is that by which the internet sees the node. */
  readonly asksPublicAddress: boolean;
  readonly tls: TlsFiles | undefined;
  /** How unikernels find their device. */
  readonly tap: TapLayout;
}

/** Paths of PEM files; "" = none. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** Throws config-unreadable or config-invalid. */
export function loadNetcfg(path: string, env: NodeJS.ProcessEnv): Netcfg {
  return parseNetcfg(readTextFile(path), path, env);
}

/** `path` is what errors call the text. */
export function parseNetcfg(content: string, path: string, env: NodeJS.ProcessEnv): Netcfg {
  let found: unknown;
  try {
    // Go's loader leaves tabs between JSON's tokens alone, YAML does not take them for indentation. It reads YAML 1.1,
    // where yes and on are true, and of a key that stands twice the last one counts.
    found = parse(content.replaceAll("\t", "  "), { version: "1.1", uniqueKeys: false }) ?? {};
  } catch (error) {
    const [line] = String(error instanceof Error ? error.message : error).split("\n");
    throw new SapwoodError("config-invalid", `${path}: expected YAML or JSON; found an error: ${line}`, {
      cause: error,
    });
  }
  if (!isRecord(found)) throw new SapwoodError("config-invalid", `${path}: expected fields (${FIELDS.join(", ")})`);
  const parsed = schema.safeParse({ ...withoutNulls(withKnownKeys(found, FIELDS)), ...overrides(env) });
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path: [field], message }) => {
      return `${path}: ${String(field)}: ${message}, found ${valueText(found[String(field)])}`;
    });
    throw new SapwoodError("config-invalid", lines.join("\n"));
  }
  const { MqttCert: cert, MqttKey: key, MqttCa: ca, ...rest } = parsed.data;
  return {
    publicAddress: addressOf(rest.NodePublicAddress, path),
    publicPort: portOf(rest.NodePublicPort, "NodePublicPort", path),
    clusterAddress: rest.ClusterUrl,
    clusterMqttPort: portOf(rest.ClusterMqttPort, "ClusterMqttPort", path),
    defaultInterface: rest.DefaultInterface,
    debug: rest.Debug,
    asksPublicAddress: rest.PublicIPNetworking,
    tap: layoutOf(rest.UnikernelTap, path),
    tls: cert === "" && ca === "" ? undefined : { cert, key, ca },
  };
}

function withoutNulls(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

/** Variables that are set and not empty; flags that cannot be read are ignored. */
function overrides(env: NodeJS.ProcessEnv): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const field of FIELDS) {
    const value = env[field];
    if (value === undefined || value === "") continue;
    if (!FLAGS.includes(field)) found[field] = value;
    else if (BOOLEANS.has(value)) found[field] = BOOLEANS.get(value);
  }
  return found;
}

function addressOf(value: string, path: string): string {
  if (value === DISCOVERED) return value;
  const address = canonicalAddress(value);
  if (address !== undefined) return address;
  const message = `expected an IPv4 or IPv6 address, or ${DISCOVERED} to find it out, found ${valueText(value)}`;
  throw new SapwoodError("config-invalid", `${path}: NodePublicAddress: ${message}`);
}

function layoutOf(value: string, path: string): TapLayout {
  const layout = TAP_LAYOUTS.find((one) => one === (value || TAP_LAYOUTS[0]));
  if (layout !== undefined) return layout;
  const message = `expected one of ${TAP_LAYOUTS.join(", ")}, found ${valueText(value)}`;
  throw new SapwoodError("config-invalid", `${path}: UnikernelTap: ${message}`);
}

function portOf(value: string, field: Field, path: string): number {
  const port = Number(value);
  if (/^\d{1,5}$/.test(value) && port >= 1 && port <= PORT_MAX) return port;
  const message = `expected a port from 1 to ${PORT_MAX}, found ${valueText(value)}`;
  throw new SapwoodError("config-invalid", `${path}: ${field}: ${message}`);
}
