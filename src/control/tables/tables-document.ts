// Tables as a document that can be applied again: with the field names of the configuration file.

import { inPieces } from "../../base/pieces.ts";
import { type Instance, type Node, type Service, type Tables, writtenHealth } from "../../model/tables.ts";

/** An instance's addresses are called so in a file. */
type WrittenInstance = Omit<Instance, "namespaceAddresses" | "instanceAddresses"> & {
  readonly namespace: readonly string[];
  readonly addresses: readonly string[];
};

export function writtenInstance({ namespaceAddresses, instanceAddresses, ...rest }: Instance): WrittenInstance {
  return { ...rest, namespace: namespaceAddresses, addresses: instanceAddresses };
}

/** The document as JSON, in pieces, so that a million instances are neither one text nor one turn of the event loop. */
export function* tablesJson({ nodes, services }: Tables): Generator<string> {
  yield* inPieces(
    (function* () {
      yield '{"nodes":[';
      for (const [i, node] of nodes.entries()) yield (i === 0 ? "" : ",") + nodeJson(node);
      yield '],"services":[';
      for (const [i, service] of services.entries()) yield (i === 0 ? "" : ",") + serviceJson(service);
      yield "]}";
    })(),
  );
}

function nodeJson({ id, underlay, ...rest }: Node): string {
  return JSON.stringify({ id, underlay, ...rest });
}

function serviceJson({ name, addresses, instances, health }: Service): string {
  return JSON.stringify({
    name,
    addresses,
    instances: instances.map(writtenInstance),
    health: writtenHealth(health),
  });
}
