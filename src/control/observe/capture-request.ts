// Whose packets a capture is asked for, and what that means for the tables in force.

import * as z from "zod";
import * as Protocol from "../../../assembly/shared/protocol.ts";
import { SapwoodError } from "../../base/errors.ts";
import { meantText, nameList, shortText } from "../../base/issues.ts";
import { type CaptureFilter, SNAP_LENGTH_MAX } from "../../dataplane/capture/capture-contract.ts";
import type { Service, Tables } from "../../model/tables.ts";
import { keyOfText } from "../../net/address-key.ts";

const PROTOCOLS: Readonly<Record<string, readonly number[]>> = {
  tcp: [Protocol.TCP],
  udp: [Protocol.UDP],
  icmp: [Protocol.ICMP, Protocol.ICMPV6],
};
const PROTOCOL_MAX = 255;
const PORT_MAX = 65_535;
const COUNT_MAX = 2 ** 32;
const DURATION_MAX_MS = 24 * 3_600_000;
const SIZE_MAX_BYTES = 2 ** 40;

const address = z.string().refine((text) => keyOfText(text) !== undefined, { error: "an IPv4 or IPv6 address" });
const protocol = z.string().refine((text) => protocolsOf(text) !== undefined, {
  error: `tcp, udp, icmp or a protocol number from 0 to ${PROTOCOL_MAX}`,
});

/** The parameters of the route, all of them texts. */
export const CAPTURE_PARAMETERS = z.strictObject({
  service: z.string().optional(),
  instance: whole(1, COUNT_MAX).optional(),
  address: address.optional(),
  protocol: protocol.optional(),
  port: whole(0, PORT_MAX).optional(),
  dropped: z
    .enum(["true", "false"], { error: "true or false" })
    .default("false")
    .transform((text) => text === "true"),
  snapLength: whole(1, SNAP_LENGTH_MAX).default(SNAP_LENGTH_MAX),
  count: whole(1, COUNT_MAX).optional(),
  durationMs: whole(1, DURATION_MAX_MS).optional(),
  sizeBytes: whole(1, SIZE_MAX_BYTES).optional(),
});
export type CaptureRequest = z.infer<typeof CAPTURE_PARAMETERS>;

/** Throws usage or not-found when it names what is not there. */
export function checkParties({ service, instance }: CaptureRequest, tables: Tables): void {
  if (service === undefined) {
    if (instance === undefined) return;
    throw new SapwoodError("usage", `"instance" must be one of a "service"; found ${instance} without one.`);
  }
  const found = serviceOf(tables, service);
  if (found === undefined) {
    const names = tables.services.map(({ name }) => name);
    const known = names.length === 0 ? "there is none at all" : `there are ${nameList(names)}`;
    const hint = meantText(service, names);
    throw new SapwoodError("not-found", `There is no service "${shortText(service)}"; ${known}${hint}.`);
  }
  const numbers = found.instances.map(({ number }) => number);
  if (instance === undefined || numbers.includes(instance)) return;
  const known = numbers.length === 0 ? "it has none" : `it has ${nameList(numbers)}`;
  throw new SapwoodError("not-found", `Service "${shortText(service)}" has no instance ${instance}; ${known}.`);
}

/** What the workers look for, as the tables say it now. */
export function filterOf(request: CaptureRequest, bit: number, tables: Tables): CaptureFilter {
  const { address, protocol, port, dropped, snapLength } = request;
  return {
    bit,
    snapLength,
    isDroppedOnly: dropped,
    parties: partiesOf(request, tables),
    address: address === undefined ? undefined : keyOfText(address),
    protocols: protocol === undefined ? undefined : protocolsOf(protocol),
    port,
  };
}

function partiesOf({ service, instance }: CaptureRequest, tables: Tables): ReadonlySet<string> | undefined {
  if (service === undefined) return undefined;
  const found = serviceOf(tables, service);
  const instances = found?.instances.filter(({ number }) => instance === undefined || number === instance) ?? [];
  const addresses = instances.flatMap((one) => [...one.namespaceAddresses, ...one.instanceAddresses]);
  if (instance === undefined) addresses.push(...(found?.addresses.map(({ address }) => address) ?? []));
  return new Set(addresses.map((text) => keyOfText(text) ?? ""));
}

function serviceOf({ services }: Tables, name: string): Service | undefined {
  return services.find((service) => service.name === name);
}

function protocolsOf(text: string): readonly number[] | undefined {
  if (Object.hasOwn(PROTOCOLS, text)) return PROTOCOLS[text];
  const number = Number(text);
  return /^\d{1,3}$/.test(text) && number <= PROTOCOL_MAX ? [number] : undefined;
}

function whole(least: number, most: number) {
  const error = `a whole number from ${least} to ${most}`;
  return z
    .string()
    .regex(/^\d{1,16}$/, error)
    .transform(Number)
    .refine((number) => number >= least && number <= most, { error });
}
