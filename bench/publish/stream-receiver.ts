// Program: `stream-receiver.js` receives a marked stream until it ends and prints what it met, slice by slice.
import { writeSync } from "node:fs";
import { DatagramSocket } from "../path/datagram-socket.ts";
import { LISTENING, TOOL_PORT } from "../path/tool-protocol.ts";
import { monotonicUs, PATH_GAP_US, SLICE_US, type Slice } from "./windows.ts";

const STDOUT = 1;
const END_MS = 3_000; // without a datagram the stream is over

const socket = new DatagramSocket(TOOL_PORT, END_MS);
const slices: Slice[] = [];
writeSync(STDOUT, LISTENING);

while (!socket.receiveOne()); // the stream begins when its sender does
let lastUs = monotonicUs();
let lastMark = socket.mark;
let slice = emptySlice(lastUs);
while (socket.receiveOne()) {
  const nowUs = monotonicUs();
  const { mark } = socket;
  const gapUs = nowUs - lastUs;
  const pauseUs = (mark - lastMark) >>> 0; // marks wrap at 2^32
  if (nowUs >= slice.startUs + SLICE_US) {
    slices.push(slice);
    slice = emptySlice(nowUs);
  }
  slice.packets += 1;
  slice.longestGapUs = Math.max(slice.longestGapUs, gapUs);
  slice.longestPathGapUs = Math.max(slice.longestPathGapUs, gapUs - pauseUs);
  slice.pathGaps += gapUs - pauseUs > PATH_GAP_US ? 1 : 0;
  slice.longestDelayUs = Math.max(slice.longestDelayUs, ((nowUs % 2 ** 32) - mark) >>> 0);
  lastUs = nowUs;
  lastMark = mark;
}
writeSync(STDOUT, `${JSON.stringify(slices)}\n`);

function emptySlice(startUs: number): { -readonly [Field in keyof Slice]: Slice[Field] } {
  return { startUs, packets: 0, longestGapUs: 0, longestPathGapUs: 0, pathGaps: 0, longestDelayUs: 0 };
}
