// Services of whole tables, read by hand: what the schema (config-schema.ts) makes of a service that is written plainly,
// in a fraction of the time. What is not plain (a name beyond ASCII, health checks, a mistake) is left to the schema,
// which alone knows what to say of it. A test holds both to the same results.

import type * as z from "zod";
import { policyName } from "../../model/policy-names.ts";
import * as Bulk from "../../net/bulk-address.ts";
import { serviceSchema } from "./config-schema.ts";

const PLAIN_NAME = /^[\x21-\x7e]{1,253}$/;
const SERVICE_FIELDS = new Set(["name", "addresses", "instances"]);
const ADDRESS_FIELDS = new Set(["address", "policy"]);
const INSTANCE_FIELDS = new Set(["number", "node", "namespace", "addresses", "weight", "draining"]);

interface PlainAddress {
  address: string;
  policy?: string;
}

interface PlainInstance {
  number: number;
  node: string;
  weight: number;
  draining: boolean;
  namespaceAddresses: string[];
  instanceAddresses: string[];
}

interface PlainService {
  name: string;
  addresses: PlainAddress[];
  instances: PlainInstance[];
}

interface ReadServices {
  readonly services: readonly unknown[];
  readonly issues: readonly z.core.$ZodIssue[];
}

/** What the schema makes of a list of services. */
export function readServices(values: readonly unknown[]): ReadServices {
  const services: unknown[] = [];
  const issues: z.core.$ZodIssue[] = [];
  values.forEach((value, i) => {
    const plain = readPlainService(value);
    const read =
      plain === undefined ? serviceSchema.safeParse(value) : { success: true, data: plain, error: undefined };
    if (read.success) services.push(read.data);
    else for (const issue of read.error?.issues ?? []) issues.push({ ...issue, path: ["services", i, ...issue.path] });
  });
  return { services, issues };
}

/** Undefined when the schema has to look at it. */
export function readPlainService(value: unknown): PlainService | undefined {
  if (!hasOnly(value, SERVICE_FIELDS)) return undefined;
  const { name, addresses = [], instances = [] } = value;
  if (!isPlainName(name)) return undefined;
  const readAddresses = readEach(addresses, readAddress);
  const readInstances = readEach(instances, readInstance);
  if (readAddresses === undefined || readInstances === undefined) return undefined;
  return { name, addresses: readAddresses, instances: readInstances };
}

function readAddress(value: unknown): PlainAddress | undefined {
  if (!hasOnly(value, ADDRESS_FIELDS)) return undefined;
  const address = readText(value.address);
  const { policy } = value;
  if (address === undefined) return undefined;
  if (policy === undefined) return "policy" in value ? undefined : { address };
  return isPlainName(policy) ? { address, policy: policyName(policy) } : undefined;
}

function readInstance(value: unknown): PlainInstance | undefined {
  if (!hasOnly(value, INSTANCE_FIELDS)) return undefined;
  const { number, node, namespace, addresses = [], weight = 1, draining = false } = value;
  const namespaceAddresses = readEach(namespace, readText);
  const instanceAddresses = readEach(addresses, readText);
  if (namespaceAddresses === undefined || instanceAddresses === undefined || typeof draining !== "boolean") {
    return undefined;
  }
  if (!isWhole(number, 0, 0xffff_ffff) || !isWhole(weight, 1, 65_535) || !isPlainName(node)) return undefined;
  return { number, node, weight, draining, namespaceAddresses, instanceAddresses };
}

function readText(value: unknown): string | undefined {
  return typeof value === "string" ? Bulk.canonicalAddress(value) : undefined;
}

function readEach<Item>(values: unknown, read: (value: unknown) => Item | undefined): Item[] | undefined {
  if (!Array.isArray(values)) return undefined;
  const items: Item[] = [];
  for (const value of values) {
    const item = read(value);
    if (item === undefined) return undefined;
    items.push(item);
  }
  return items;
}

function hasOnly(value: unknown, known: ReadonlySet<string>): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const name of Object.keys(value)) if (!known.has(name)) return false;
  return true;
}

function isPlainName(value: unknown): value is string {
  return typeof value === "string" && PLAIN_NAME.test(value);
}

function isWhole(value: unknown, least: number, most: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
}
