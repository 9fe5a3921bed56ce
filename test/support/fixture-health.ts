// What the control plane says of the health of instances, to an engine and to its twin, and what both heard of others.
import { expect } from "vitest";
import * as HealthPageLayout from "../../assembly/shared/layout/health-page.ts";
import { HealthPageReader, wantHealthPage, writeHealthPages } from "../../src/memory/health-pages.ts";
import { type InstanceHealthName, writeInstanceHealth } from "../../src/memory/instance-health.ts";
import type { SharedMemory } from "../../src/memory/shared-memory.ts";
import type { TableWriter } from "../../src/memory/table-writer.ts";
import type { Tables } from "../../src/model/tables.ts";
import type { ReferenceTranslator } from "./reference/translator.ts";

export class FixtureHealth {
  private readonly reader: HealthPageReader;

  constructor(
    private readonly shared: SharedMemory,
    private readonly tables: TableWriter,
    private readonly twin: () => ReferenceTranslator | undefined,
  ) {
    this.reader = new HealthPageReader(shared);
  }

  set({ services }: Tables, service: string, number: number, health: InstanceHealthName): void {
    const instances = services.find(({ name }) => name === service)?.instances ?? [];
    const index = this.tables.instanceIndices(service)[instances.findIndex((one) => one.number === number)];
    if (index !== undefined) writeInstanceHealth(this.shared, index, health);
    this.twin()?.tables.setHealth(service, number, health);
  }

  tell(revision: number, pages: readonly Uint8Array[]): void {
    writeHealthPages(this.shared, revision, pages);
    const twin = this.twin();
    if (twin !== undefined) twin.nodes.told = { revision, pages };
  }

  want(id: string, page: number | undefined): void {
    const index = this.tables.nodeIndex(id);
    if (index === undefined) return;
    wantHealthPage(this.shared, index, page);
    if (page === undefined) this.twin()?.nodes.wanted.delete(id);
    else this.twin()?.nodes.wanted.set(id, page);
  }

  /** What the engine keeps of other nodes' pages is what the twin heard. */
  conclude({ nodes }: Tables): void {
    const heard = this.twin()?.nodes.pagesHeard.splice(0) ?? [];
    const taken = this.reader.take().map(({ node, revision, bytes }) => ({
      id: nodes.find(({ id }) => this.tables.nodeIndex(id) === node)?.id,
      revision,
      page: Buffer.from(bytes).toString("hex"),
    }));
    if (taken.length === 0 && heard.length === 0) return;
    expect(taken, "health pages that came").toEqual(heard.slice(-HealthPageLayout.RECEIVED_MAX));
  }
}
