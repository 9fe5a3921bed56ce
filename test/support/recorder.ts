// Records what an engine of a test is given and what it does, as `sapwood capture` does.
import { CAPTURE_PARAMETERS } from "../../src/control/observe/capture-request.ts";
import { Captures } from "../../src/control/observe/captures.ts";
import type { CaptureOrders } from "../../src/dataplane/capture/capture-contract.ts";
import { CaptureTap } from "../../src/dataplane/capture/capture-tap.ts";
import { CapturingEngine } from "../../src/dataplane/capture/capturing-engine.ts";
import { WorkerArea } from "../../src/dataplane/io/device.ts";
import type { Tables } from "../../src/model/tables.ts";
import { parseAddress } from "../../src/net/address.ts";
import type { EngineFixture } from "./engine-fixture.ts";

const EPOCH_US = Date.UTC(2026, 0, 1) * 1000;

/** Begins to record; the function that it resolves to ends that, and returns the file. */
export async function record(
  fixture: EngineFixture,
  tables: Tables,
  parameters: Readonly<Record<string, string>> = {},
): Promise<() => Buffer> {
  const area = new WorkerArea(fixture.shared.memory, 0, 0n);
  const { engine } = fixture;
  const begin = (orders: CaptureOrders | undefined): void => {
    const ring = orders?.rings[0];
    if (ring === undefined) return;
    const tap = new CaptureTap(area, ring, orders?.filters ?? [], () => EPOCH_US + fixture.nowUs);
    Object.defineProperty(fixture, "engine", { value: new CapturingEngine(engine, area, tap) });
  };
  const captures = new Captures({
    workers: 1,
    hand: (orders) => Promise.resolve(begin(orders)),
    tables: () => tables,
    own: { address: parseAddress("192.0.2.1") ?? new Uint8Array(16), port: 50103 },
    version: "of a test",
    onFailure: (error) => {
      throw error;
    },
  });
  const pieces: Uint8Array[] = [];
  const sink = { write: (bytes: Uint8Array) => void pieces.push(bytes), waiting: 0, end: () => undefined };
  captures.open(CAPTURE_PARAMETERS.parse(parameters)).start(sink);
  await new Promise((begun) => setImmediate(begun));
  return () => {
    captures.close();
    return Buffer.concat(pieces);
  };
}
