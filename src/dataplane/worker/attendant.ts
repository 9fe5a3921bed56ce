// Orders to a worker, which are carried out between two breaths. The loop blocks the thread's event loop by design: a
// shared word says how many orders were given, and the message port is read only when it has changed.

import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { reasonOf } from "../../base/errors.ts";
import {
  type NumberedOrder,
  ORDERS_STOP,
  type Order,
  type WorkerMessage,
  type WorkerOptions,
} from "./worker-contract.ts";

/** Looks whether something was ordered: one load per breath as long as nothing was. False = stop. */
export function createAttendant(
  { orders, ordersGiven }: Pick<WorkerOptions, "orders" | "ordersGiven">,
  port: MessagePort,
  obey: (order: Order) => void,
): () => boolean {
  const word = new Int32Array(orders);
  let seen = ordersGiven;
  return () => {
    const given = Atomics.load(word, 0);
    if (given === seen) return true;
    if (given === ORDERS_STOP) return false;
    seen = given; // each order was posted before the word counted it
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      const order: NumberedOrder = next.message;
      const startedMs = performance.now();
      let refusal: string | undefined;
      try {
        obey(order);
      } catch (error) {
        refusal = reasonOf(error);
      }
      const pauseMs = performance.now() - startedMs;
      port.postMessage({ type: "obeyed", id: order.id, pauseMs, refusal } satisfies WorkerMessage);
    }
    return true;
  };
}
