// Stands for the data plane's worker: the real loop, engine and policies, with devices in memory. Notes what it does in
// the log that it shares with test/support/trace.ts, which says where log, frame and words are.
import { parentPort } from "node:worker_threads";
import * as HeaderLayout from "../../../dist/assembly/shared/layout/header.js";
import * as KernelLayout from "../../../dist/assembly/shared/layout/kernel.js";
import * as NodeLayout from "../../../dist/assembly/shared/layout/node.js";
import * as ServiceLayout from "../../../dist/assembly/shared/layout/service.js";
import * as WaitingLayout from "../../../dist/assembly/shared/layout/waiting.js";
import * as WorkerLayout from "../../../dist/assembly/shared/layout/worker.js";
import { READY_TUN, WorkerArea } from "../../../dist/src/dataplane/io/device.js";
import { PolicyBoard } from "../../../dist/src/dataplane/modules/policy-board.js";
import { instantiateEngine } from "../../../dist/src/dataplane/modules/wasm.js";
import { createAttendant } from "../../../dist/src/dataplane/worker/attendant.js";
import { Loop } from "../../../dist/src/dataplane/worker/loop.js";
import { PolicyHost } from "../../../dist/src/dataplane/worker/policies.js";
import { monotonicMs } from "../../../dist/src/dataplane/worker/worker-contract.js";

const options = await new Promise((resolve) => parentPort.once("message", resolve));
const { memory, worker, engine: firstEngine, policies: modules, clockOriginMs, board } = options;
const [LINE_COUNT, FRAME_LENGTH, HOLD, INSIDE] = [1, 2, 3, 4];
const [HOLD_ASKED, HOLD_BEGUN] = [1, 2];
const [FRAME_AT, LINES_AT, LINE_SIZE] = [3584, 256, 128];

const words = new Int32Array(memory.buffer);
const bytes = new Uint8Array(memory.buffer);
const view = new DataView(memory.buffer);
const area = new WorkerArea(memory, worker);
const header = (offset) => Atomics.load(words, (HeaderLayout.AT + offset) >> 2);
const generation = () => area.word(WorkerLayout.GENERATION);
const waiting = () => area.word(WorkerLayout.WAITING_PARKED + WaitingLayout.ROW_COUNT);

function note(line) {
  const at = LINES_AT + LINE_SIZE * Atomics.add(words, LINE_COUNT, 1);
  bytes.set(new TextEncoder().encode(line), at);
}

const policyHost = new PolicyHost(memory, modules, worker, { board: new PolicyBoard(board) });

/** The engine's question to the policy, in the middle of a call. */
function choose(serviceAt, flowHash, clientHash) {
  if (area.word(WorkerLayout.SEQUENCE) % 2 !== 1) note("Note over W: outside of a call");
  const count = view.getUint32(serviceAt + ServiceLayout.CANDIDATE_COUNT, true);
  note(`W->>W: a new flow: the policy has ${count === 1 ? "1 candidate" : `${count} candidates`}`);
  if (Atomics.compareExchange(words, HOLD, HOLD_ASKED, HOLD_BEGUN) === HOLD_ASKED) {
    Atomics.notify(words, HOLD);
    Atomics.wait(words, HOLD, HOLD_BEGUN);
    note(`W->>W: goes on with generation ${generation()}`);
  }
  return policyHost.choose(serviceAt, flowHash, clientHash);
}

let engines = 0;
function attached(module) {
  const number = ++engines;
  const engine = instantiateEngine(module, memory, choose);
  engine.attach(worker, area.memoryBase);
  if (number > 1) note(`W->>W: between two breaths: attaches engine ${number} to its area`);
  return {
    ...engine,
    egress: (first, count, nowUs) => {
      Atomics.store(words, INSIDE, 1);
      const before = waiting();
      const flowsBefore = header(HeaderLayout.FLOW_COUNT);
      note(`W->>M: begins a call of engine ${number}: sequence odd, generation ${header(HeaderLayout.GENERATION)}`);
      const next = engine.egress(first, count, nowUs);
      const flows = header(HeaderLayout.FLOW_COUNT);
      if (waiting() > before) note(`W->>M: copies the packet aside: ${waiting()} waiting`);
      if (flows > flowsBefore) note(`W->>M: a flow more: ${flows}`);
      else if (flows > 0) note(`W->>M: finds the flow: ${flows} as before`);
      note(`W->>M: ends the call: sequence ${area.word(WorkerLayout.SEQUENCE) % 2 === 0 ? "even" : "odd"}`);
      return next;
    },
    unpark: (nowUs) => {
      const before = waiting();
      const left = engine.unpark(nowUs);
      if (waiting() < before) note(`W->>M: finds the address in generation ${generation()}: ${waiting()} waiting`);
      return left;
    },
  };
}

const tun = {
  readBatch: () => {
    const length = Atomics.exchange(words, FRAME_LENGTH, 0);
    if (length === 0) return 0;
    bytes.copyWithin(area.at + WorkerLayout.TUN_SLOTS + WorkerLayout.SLOT_HEADROOM, FRAME_AT, FRAME_AT + length);
    area.setWord(WorkerLayout.TUN_LENGTHS, length);
    const destinationAt = FRAME_AT + 10 + 16; // behind the virtio_net_hdr, an IPv4 header
    note(`A->>W: packet to ${bytes.subarray(destinationAt, destinationAt + 4).join(".")}`);
    return 1;
  },
  writeQueue: () => area.setWord(WorkerLayout.TUN_TX_COUNT, 0),
};
const udp = {
  receiveBatch: () => 0,
  sendQueue: () => {
    for (let i = 0; i < area.word(WorkerLayout.UDP_TX_COUNT); i++) {
      const at = area.at + WorkerLayout.UDP_TX_NAMES + i * NodeLayout.ENDPOINT_SIZE + KernelLayout.SOCKADDR_ADDRESS;
      note(`W->>N: datagram to ${bytes.subarray(at + 12, at + 16).join(".")}`);
    }
    area.setWord(WorkerLayout.UDP_TX_COUNT, 0);
    Atomics.store(words, INSIDE, 0);
    Atomics.notify(words, INSIDE);
  },
};
const waiter = {
  wait: () => {
    Atomics.wait(words, FRAME_LENGTH, 0, 2);
    return Atomics.load(words, FRAME_LENGTH) === 0 ? 0 : READY_TUN;
  },
};

const seat = { current: attached(firstEngine) };
const loop = new Loop({
  engine: seat,
  tun,
  udp,
  waiter,
  clock: () => (monotonicMs() - clockOriginMs) * 1000,
  flowRecords: () => 0,
  parkedPackets: waiting,
  isProber: false,
  attendOrders: createAttendant(options, parentPort, (order) => {
    note(`S->>W: order: ${order.kind}`);
    if (order.kind === "engine") seat.current = attached(order.module);
    else policyHost.replace(order);
  }),
});
parentPort.postMessage({ type: "ready" });
loop.run();
parentPort.postMessage({ type: "stopped" });
