// Plays the engine for device scripts: a worker area in shared memory with the structures that attach() and the
// transmit queues would hold.

import * as HeaderLayout from "../../../../dist/assembly/shared/layout/header.js";
import { Region } from "../../../../dist/assembly/shared/layout/header.js";
import * as KernelLayout from "../../../../dist/assembly/shared/layout/kernel.js";
import * as NodeLayout from "../../../../dist/assembly/shared/layout/node.js";
import * as WorkerLayout from "../../../../dist/assembly/shared/layout/worker.js";
import { SOL_UDP, UDP_SEGMENT } from "../../../../dist/assembly/shared/sockets.js";
import { WorkerArea } from "../../../../dist/src/dataplane/io/device.js";

const AREA_AT = 65536;

export class Structures {
  constructor() {
    const pages = (AREA_AT + WorkerLayout.SIZE) / 65536;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.view = new DataView(this.memory.buffer);
    this.view.setUint32(HeaderLayout.AT + HeaderLayout.REGIONS + 4 * Region.workers, AREA_AT, true);
    this.area = new WorkerArea(this.memory, 0);
    this.nextHeader = WorkerLayout.TX_HEADERS;
    for (let i = 0; i < WorkerLayout.BATCH_SIZE; i++) this.prepareReceive(i);
  }

  u32(offset) {
    return this.view.getUint32(AREA_AT + offset, true);
  }

  bytes(offset, length) {
    return Buffer.from(this.memory.buffer, AREA_AT + offset, length);
  }

  /** Message `index` of a transmit queue; `segmentSize` makes it a UDP_SEGMENT send, `tos` is [level, type, value]. */
  putMessage(queue, index, { sockaddr, payload, packets, segmentSize, tos }) {
    const at = queue + index * KernelLayout.MMSGHDR_SIZE;
    const control = WorkerLayout.UDP_TX_CONTROLS + index * WorkerLayout.UDP_TX_CONTROL_SIZE;
    const name = this.put(sockaddr);
    this.u64(at + KernelLayout.MMSGHDR_NAME, this.area.nativeAt(name));
    this.view.setUint32(AREA_AT + at + KernelLayout.MMSGHDR_NAME_LENGTH, KernelLayout.SOCKADDR_SIZE, true);
    this.u64(at + KernelLayout.MMSGHDR_IOV, this.iovec(queue === WorkerLayout.UDP_TX ? index : 1000 + index, payload));
    this.u64(at + KernelLayout.MMSGHDR_IOV_COUNT, 1);
    this.view.setUint32(AREA_AT + at + KernelLayout.MMSGHDR_LENGTH, packets, true);
    let end = control;
    if (tos !== undefined) end = this.putControl(end, 4, ...tos);
    if (segmentSize !== undefined) end = this.putControl(end, 2, SOL_UDP, UDP_SEGMENT, segmentSize);
    this.u64(at + KernelLayout.MMSGHDR_CONTROL, end === control ? 0 : this.area.nativeAt(control));
    this.u64(at + KernelLayout.MMSGHDR_CONTROL_LENGTH, end - control);
  }

  /** struct cmsghdr with a value of so many bytes; where the next one goes. */
  putControl(at, size, level, type, value) {
    this.u64(at, KernelLayout.CMSG_DATA + size);
    this.view.setInt32(AREA_AT + at + KernelLayout.CMSG_LEVEL, level, true);
    this.view.setInt32(AREA_AT + at + KernelLayout.CMSG_TYPE, type, true);
    this.view.setUint32(AREA_AT + at + KernelLayout.CMSG_DATA, value, true);
    return at + KernelLayout.CMSG_SIZE;
  }

  /** What the control messages of received message `index` say, by level and type. */
  controls(index) {
    const found = {};
    const start = WorkerLayout.UDP_RX_CONTROLS + index * KernelLayout.CONTROL_SIZE;
    const end =
      start + this.u32(WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_CONTROL_LENGTH);
    for (let at = start; at < end; at += (this.u32(at) + 7) & ~7) {
      const data = at + KernelLayout.CMSG_DATA;
      const kind = `${this.u32(at + KernelLayout.CMSG_LEVEL)},${this.u32(at + KernelLayout.CMSG_TYPE)}`;
      found[kind] = this.u32(at) === KernelLayout.CMSG_DATA + 1 ? this.bytes(data, 1)[0] : this.u32(data);
    }
    return found;
  }

  setUdpCount(count) {
    this.view.setUint32(AREA_AT + WorkerLayout.UDP_TX_COUNT, count, true);
  }

  /** The TUN transmit queue, one write per frame. */
  putFrames(frames) {
    frames.forEach(({ bytes, packets }, index) => {
      const at = WorkerLayout.TUN_TX + index * WorkerLayout.TUN_TX_SIZE;
      this.u64(at + WorkerLayout.TUN_TX_IOV, this.iovec(index, bytes));
      this.view.setUint32(AREA_AT + at + WorkerLayout.TUN_TX_IOV_COUNT, 1, true);
      this.view.setUint32(AREA_AT + at + WorkerLayout.TUN_TX_PACKETS, packets, true);
    });
    this.view.setUint32(AREA_AT + WorkerLayout.TUN_TX_COUNT, frames.length, true);
  }

  iovec(index, payload) {
    const at = WorkerLayout.TX_IOVECS + index * KernelLayout.IOVEC_SIZE;
    this.u64(at, this.area.nativeAt(this.put(payload)));
    this.u64(at + 8, payload.length);
    return this.area.nativeAt(at);
  }

  put(payload) {
    const at = this.nextHeader;
    this.bytes(at, payload.length).set(payload);
    this.nextHeader += (payload.length + 15) & ~15;
    return at;
  }

  u64(offset, value) {
    this.view.setBigUint64(AREA_AT + offset, BigInt(value), true);
  }

  prepareReceive(index) {
    const at = WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE;
    const iovec = WorkerLayout.UDP_RX_IOVECS + index * KernelLayout.IOVEC_SIZE;
    this.u64(
      iovec,
      this.area.nativeAt(WorkerLayout.UDP_SLOTS + index * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM),
    );
    this.u64(iovec + KernelLayout.IOVEC_LENGTH, WorkerLayout.FRAME_MAX);
    this.u64(
      at + KernelLayout.MMSGHDR_NAME,
      this.area.nativeAt(WorkerLayout.UDP_RX_NAMES + index * NodeLayout.ENDPOINT_SIZE),
    );
    this.u64(at + KernelLayout.MMSGHDR_IOV, this.area.nativeAt(iovec));
    this.u64(at + KernelLayout.MMSGHDR_IOV_COUNT, 1);
    this.u64(
      at + KernelLayout.MMSGHDR_CONTROL,
      this.area.nativeAt(WorkerLayout.UDP_RX_CONTROLS + index * KernelLayout.CONTROL_SIZE),
    );
  }
}
