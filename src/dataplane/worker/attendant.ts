// Orders to a worker, which are carried out between two breaths. The loop blocks the thread's event loop by design: a
// shared word says how many orders were given, and the message port is read only when it has changed.

import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { reasonOf } from "../../base/errors.ts";
import { Gate } from "./gate.ts";
import {
  type NumberedOrder,
  ORDERS_STOP,
  type Order,
  type WorkerMessage,
  type WorkerOptions,
} from "./worker-contract.ts";

/**
 * Looks whether something was ordered: one load per breath as long as nothing was. Returns when the worker may go on,
 * or false when it is to stop; one that is held carries out orders meanwhile.
 */
export function createAttendant(
  { orders, ordersGiven, gate }: Pick<WorkerOptions, "orders" | "ordersGiven" | "gate">,
  port: MessagePort,
  obey: (order: Order) => void,
): () => boolean {
  const word = new Int32Array(orders);
  const held = new Gate(gate);
  let seen = ordersGiven;
  let mayBeHeld = true; // when it begins, and after an order
  return () => {
    for (;;) {
      const given = Atomics.load(word, 0);
      if (given === seen && !mayBeHeld) return true;
      if (given === ORDERS_STOP) return false;
      if (given !== seen) {
        seen = given; // each order was posted before the word counted it
        for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
          port.postMessage(answerTo(next.message, obey));
        }
      }
      mayBeHeld = !held.isOpenSoon();
    }
  };
}

function answerTo(order: NumberedOrder, obey: (order: Order) => void): WorkerMessage {
  const startedMs = performance.now();
  let refusal: string | undefined;
  try {
    obey(order);
  } catch (error) {
    refusal = reasonOf(error);
  }
  return { type: "obeyed", id: order.id, pauseMs: performance.now() - startedMs, refusal };
}
