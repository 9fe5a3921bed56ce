import { expect, test } from "vitest";
import { UndoStack } from "../../../src/base/undo-stack.ts";

test("steps are undone in reverse order, one after the other, once", async () => {
  const undone: string[] = [];
  const stack = new UndoStack(() => undefined);
  stack.add("undo one", () => void undone.push("one"));
  stack.add("undo two", async () => {
    await Promise.resolve();
    undone.push("two");
  });
  await Promise.all([stack.run(), stack.run()]);
  expect(undone).toEqual(["two", "one"]);
});

test("a step that fails is reported and does not keep the others from being undone", async () => {
  const undone: string[] = [];
  const failures: string[] = [];
  const stack = new UndoStack((what, error) => failures.push(`could not ${what}: ${String(error)}`));
  stack.add("undo one", () => void undone.push("one"));
  stack.add("undo two", () => {
    throw new Error("stuck");
  });
  await stack.run();
  expect(undone).toEqual(["one"]);
  expect(failures).toEqual(["could not undo two: Error: stuck"]);
});

test("the steps of a part are undone in its place, whenever they were added", async () => {
  const undone: string[] = [];
  const stack = new UndoStack(() => undefined);
  const step = (to: UndoStack, name: string) => to.add(`undo ${name}`, () => void undone.push(name));
  const [first, second] = [stack.part("undo the first"), stack.part("undo the second")];
  step(second, "second one");
  step(first, "first");
  step(second, "second two");
  step(stack, "last");
  await stack.run();
  expect(undone).toEqual(["last", "second two", "second one", "first"]);
});
