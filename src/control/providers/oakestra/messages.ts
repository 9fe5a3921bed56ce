// What is said over MQTT: topics, and the JSON objects that stand in them. What is sent is exactly what the cluster
// expects; what comes is taken as Go takes it: keys in any case, null and missing alike.

import * as z from "zod";
import { isRecord, withKnownKeys } from "./case-insensitive.ts";

export function nodeTopics(workerId: string) {
  const prefix = `nodes/${workerId}/net`;
  return {
    subnet: `${prefix}/subnet`,
    subnetResult: `${prefix}/subnetwork/result`,
    tableQuery: `${prefix}/tablequery/request`,
    tableQueryResult: `${prefix}/tablequery/result`,
    deployed: `${prefix}/service/deployed`,
    addressChanged: `${prefix}/service/address-changed`,
    interestRemove: `${prefix}/interest/remove`,
  };
}
export type NodeTopics = ReturnType<typeof nodeTopics>;

const JOB_TOPIC = /^jobs\/(.+)\/updates_available$/;

export function jobTopic(job: string): string {
  return `jobs/${job}/updates_available`;
}

/** The job whose update a topic tells, or undefined. */
export function jobOfTopic(topic: string): string | undefined {
  return JOB_TOPIC.exec(topic)?.[1];
}

/** Part of a job's name (appname, appns, servicename, servicens). */
const NAME_PART = /^[a-zA-Z0-9]{1,30}$/;

/** Whether the text is the name of a job: four parts of letters and digits. */
export function isJobName(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => NAME_PART.test(part));
}

/** An instance of this node, to be told to the cluster. */
export interface Deployed {
  readonly job: string;
  readonly number: number;
  readonly nsip: string;
  readonly nsipv6: string;
}

export function subnetRequest(): object {
  return { METHOD: "GET" };
}

/** One of the two says what is asked for. */
export function tableQuery(asked: { readonly sip: string } | { readonly sname: string }): object {
  return { sname: "", sip: "", ...asked };
}

export function deployedMessage({ job, number, nsip, nsipv6 }: Deployed, host: Host): object {
  return { appname: job, status: "DEPLOYED", instance_number: number, nsip, nsipv6, ...hostFields(host) };
}

export function addressChangedMessage({ job, number }: Pick<Deployed, "job" | "number">, host: Host): object {
  return { appname: job, status: "", instance_number: number, nsip: "", nsipv6: "", ...hostFields(host) };
}

export function interestRemoveMessage(job: string): object {
  return { appname: job };
}

/** Where the other nodes reach this one's tunnel. */
export interface Host {
  readonly address: string;
  readonly port: number;
}

function hostFields({ address, port }: Host): object {
  return { host_port: String(port), host_ip: address };
}

/** null and undefined stand for the zero value. */
function orZero<Schema extends z.ZodType>(schema: Schema, zero: z.output<Schema>) {
  return z.preprocess((value) => value ?? zero, schema);
}

const text = orZero(z.string(), "");
/** Of an address, or of what one is for. */
const SHORT_MAX = 256;
const shortText = orZero(z.string().max(SHORT_MAX), "");

function fieldsOf<Shape extends z.ZodRawShape>(shape: Shape) {
  const names = Object.keys(shape);
  return z.preprocess((value) => (isRecord(value) ? withKnownKeys(value, names) : value), z.object(shape));
}

const subnetResult = fieldsOf({ address: text, addressv6: text });
type SubnetResult = z.output<typeof subnetResult>;

/** Numbers come as text as well ("50103"). */
const whole = z.preprocess((value) => {
  if (value === null || value === undefined) return 0;
  return typeof value === "string" && /^\d{1,10}(?:\.0+)?$/.test(value) ? Number(value) : value;
}, z.int().min(0));

const serviceAddress = fieldsOf({ IpType: shortText, Address: shortText, Address_v6: shortText });

const instanceRecord = fieldsOf({
  instance_number: whole,
  instance_ip: shortText,
  instance_ip_v6: shortText,
  namespace_ip: shortText,
  namespace_ip_v6: shortText,
  host_ip: shortText,
  host_port: whole,
  service_ip: orZero(z.array(z.unknown()).readonly(), []),
});
export type InstanceRecord = Readonly<z.output<typeof instanceRecord>>;
export type ServiceAddressRecord = z.output<typeof serviceAddress>;

const tableQueryResult = fieldsOf({ app_name: text, query_key: text, instance_list: orZero(z.array(z.unknown()), []) });
export type TableQueryResult = z.output<typeof tableQueryResult>;

/** What was wrong with a message or a part of it, as one sentence. */
export class Odd {
  readonly sentence: string;

  constructor(sentence: string) {
    this.sentence = sentence;
  }
}

export function readSubnetResult(payload: Uint8Array): SubnetResult | Odd {
  return read(subnetResult, fromJson(payload));
}

export function readTableQueryResult(payload: Uint8Array): TableQueryResult | Odd {
  return read(tableQueryResult, fromJson(payload));
}

/** Each entry of `instance_list` is read by itself, so that an odd one leaves the others alone. */
export function readInstanceRecord(value: unknown): InstanceRecord | Odd {
  return read(instanceRecord, value);
}

export function readServiceAddress(value: unknown): ServiceAddressRecord | Odd {
  return read(serviceAddress, value);
}

function read<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> | Odd {
  if (value instanceof Odd) return value;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  return new Odd(`${issue?.path.join(".") || "the value"}: ${issue?.message ?? "is not as expected"}`);
}

function fromJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    return new Odd("expected JSON in UTF-8");
  }
}
