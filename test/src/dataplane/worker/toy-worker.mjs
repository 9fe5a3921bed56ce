// Stands for the data plane's worker: behaves as the memory's word at 0 says, which it counts down.
import { parentPort, receiveMessageOnPort } from "node:worker_threads";
import { PolicyBoard } from "../../../../dist/src/dataplane/modules/policy-board.js";

const { memory, worker, orders, ordersGiven, board, engine } = await new Promise((resolve) =>
  parentPort.once("message", resolve),
);
const [FAILURES, STARTS, MODE, ENGINES_AT] = [0, 1, 2, 16];
const [FAILS_AT_START, NEVER_STOPS, SECOND_FAILS_AT_START, REFUSES_ORDERS, HANGS_IN_POLICY] = [1, 2, 3, 4, 5];
const words = new Int32Array(memory.buffer);
const orderWord = new Int32Array(orders);
const call = new PolicyBoard(board).call(worker);
Atomics.add(words, STARTS, 1);

/** How many functions a module exports tells the test which one it is. */
const tell = (module) => {
  words[ENGINES_AT + worker] = WebAssembly.Module.exports(module).length;
};

function obey(order) {
  if (words[MODE] === REFUSES_ORDERS && worker === 1 && words[FAILURES]-- > 0) return "no room";
  if (order.name === "fatal" && worker === 0) throw new Error("an accident");
  if (order.kind === "engine") tell(order.module);
  if (words[MODE] === HANGS_IN_POLICY && order.kind === "policy" && order.name === "endless") {
    call[1] = order.slot;
    call[0] += 1;
    for (;;);
  }
  return undefined;
}

const failsAtStart = words[MODE] === FAILS_AT_START || (words[MODE] === SECOND_FAILS_AT_START && worker === 1);
if (failsAtStart) {
  parentPort.postMessage({ type: "failed", code: "tun-unavailable", message: `Worker ${worker} cannot start.` });
} else {
  tell(engine);
  parentPort.postMessage({ type: "ready" });
  if (words[MODE] !== REFUSES_ORDERS && Atomics.sub(words, FAILURES, 1) > 0) throw new Error("an accident");
  if (words[MODE] === NEVER_STOPS) for (;;); // never looks at the orders
  let seen = ordersGiven;
  for (let given = seen; given !== -1; given = Atomics.load(orderWord, 0)) {
    if (given !== seen) {
      seen = given;
      for (let next = receiveMessageOnPort(parentPort); next; next = receiveMessageOnPort(parentPort)) {
        parentPort.postMessage({ type: "obeyed", id: next.message.id, pauseMs: 1, refusal: obey(next.message) });
      }
    }
    Atomics.wait(orderWord, 0, seen, 10);
  }
  parentPort.postMessage({ type: "stopped" });
}
