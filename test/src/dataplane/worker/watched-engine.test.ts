import { expect, test } from "vitest";
import type { EngineExports } from "../../../../src/dataplane/modules/engine-contract.ts";
import { CALL_ENGINE, PolicyBoard } from "../../../../src/dataplane/modules/policy-board.ts";
import { ENGINE_SHAPE } from "../../../../src/dataplane/modules/wasm.ts";
import { WatchedEngine } from "../../../../src/dataplane/worker/watched-engine.ts";

const NAMES = Object.keys(ENGINE_SHAPE.exports) as (keyof EngineExports)[];

test.each(NAMES)("a call of %s is marked as long as it lasts, and gets and answers what the engine does", (name) => {
  const call = PolicyBoard.create(2).call(1);
  const isInside = (): boolean => (call[CALL_ENGINE] ?? 0) % 2 !== 0;
  const seen: unknown[] = [];
  const real = Object.fromEntries(
    NAMES.map((one) => [
      one,
      (...given: unknown[]) => {
        seen.push(one, isInside(), given);
        return 77;
      },
    ]),
  );
  const engine = new WatchedEngine(call, () => real as unknown as EngineExports);
  const before = call[CALL_ENGINE] ?? 0;
  const given = [5, 6, 7, 8].slice(0, WatchedEngine.prototype[name].length);
  const answer = Reflect.apply(WatchedEngine.prototype[name], engine, given);
  expect(seen).toEqual([name, true, given]);
  expect(isInside()).toBe(false);
  expect(call[CALL_ENGINE]).toBe(before + 2);
  expect(answer ?? 77).toBe(77);
});

test("starting an engine is a call, also when it fails", () => {
  const call = PolicyBoard.create(1).call(0);
  const start = (): EngineExports => {
    expect((call[CALL_ENGINE] ?? 0) % 2).toBe(1);
    throw new Error("it does not start");
  };
  expect(() => new WatchedEngine(call, start)).toThrow("it does not start");
  expect(call[CALL_ENGINE]).toBe(2);
});
