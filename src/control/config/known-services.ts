// Services that are in force as a text has them. What was read of a part of a text, with certain rules and bindings, is
// known by a hash of all three: what is the same again need not be read again.

import { createHash, type Hash } from "node:crypto";
import { PackedService } from "../../model/packed-service.ts";
import type { Service } from "../../model/tables.ts";
import type { PolicyBinding } from "../tables/policy-bindings.ts";
import { rulesKey, type TableRules } from "../tables/table-validation.ts";

/** Characters of base64: 132 bits of SHA-256, too many for anybody to find two texts with the same. */
const DIGEST_LENGTH = 22;

/** What one service has. */
export interface OwnCounts {
  readonly addresses: number; // its own
  readonly instances: number;
  readonly instanceAddresses: number;
  readonly workloads: number; // namespace addresses of the own node
}

interface Known {
  readonly index: number;
  readonly counts: OwnCounts;
}

/** What the reader of a text is told of the services in force: a line for each. */
export function originsOf(services: readonly Service[]): string {
  return services.map((service) => (service instanceof PackedService ? (service.origin ?? "") : "")).join("\n");
}

/** As a packed service keeps it. */
export function originOf(digest: string, counts: OwnCounts): string {
  const { addresses, instances, instanceAddresses, workloads } = counts;
  return [digest, addresses, instances, instanceAddresses, workloads].join(" ");
}

export class KnownServices {
  readonly #byDigest = new Map<string, Known>();
  readonly #context: Hash;

  constructor(origins: string, bindings: readonly PolicyBinding[], rules: TableRules | undefined) {
    const bound = bindings.map(({ prefix, policy }) => [prefix.text, policy]);
    this.#context = createHash("sha256").update(JSON.stringify([bound, rules && rulesKey(rules)]));
    origins.split("\n").forEach((origin, index) => {
      if (origin === "") return;
      const [digest = "", ...numbers] = origin.split(" ");
      const [addresses = 0, instances = 0, instanceAddresses = 0, workloads = 0] = numbers.map(Number);
      this.#byDigest.set(digest, { index, counts: { addresses, instances, instanceAddresses, workloads } });
    });
  }

  /** None is in force, so that nothing can be known again. */
  get isEmpty(): boolean {
    return this.#byDigest.size === 0;
  }

  /** Of a part of a text. */
  digestOf(bytes: Uint8Array): string {
    return this.#context.copy().update(bytes).digest("base64").slice(0, DIGEST_LENGTH);
  }

  find(digest: string): Known | undefined {
    return this.#byDigest.get(digest);
  }
}
