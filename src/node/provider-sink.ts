// The node as its provider sees it.

import type { ProviderSink } from "../control/providers/provider.ts";
import type { Questions } from "../control/tables/questions.ts";
import type { TableStore } from "../control/tables/table-store.ts";
import { instancesInUse } from "../memory/flows.ts";
import type { SharedMemory } from "../memory/shared-memory.ts";
import type { Alarms } from "../model/alarms.ts";

interface ProviderSinkOptions {
  readonly nodeId: string;
  readonly store: TableStore;
  readonly questions: Questions;
  readonly shared: SharedMemory;
  readonly policies: () => readonly string[];
  readonly showStatus: ProviderSink["showStatus"];
  readonly alarms: Alarms;
}

export function providerSink({
  nodeId,
  store,
  questions,
  shared,
  policies,
  showStatus,
  alarms,
}: ProviderSinkOptions): ProviderSink {
  return {
    nodeId,
    merge: async (patch) => {
      await store.merge(patch);
    },
    questions: () => questions.open(),
    refuse: (address) => questions.refuse([address]),
    servicesInUse: () => {
      const used = instancesInUse(shared);
      const names = store.snapshot().services.map(({ name }) => name);
      return new Set(names.filter((name) => store.instanceIndices(name).some((index) => used.has(index))));
    },
    policies,
    showStatus,
    alarms,
  };
}
