// Relay: `relay.mjs OWN PEER PEER LOSS LATE SEED DELAY` passes tunnel datagrams between two nodes that take it for each other.
// Drops a share LOSS of them, sends a share LATE only after a few others, and each after DELAY ms. Prints { passed, dropped, late } when it
// is told to end.
import { createSocket } from "node:dgram";

const TUNNEL_PORT = 50103;
const BEHIND = 3; // datagrams that overtake a late one
const BUFFER_BYTES = 8 * 2 ** 20;

const [own = "", left = "", right = "", loss = "", late = "", seed = "", delay = ""] = process.argv.slice(2);
const counts = { passed: 0, dropped: 0, late: 0 };
const waiting = [];
const socket = createSocket({ type: "udp4", recvBufferSize: BUFFER_BYTES, sendBufferSize: BUFFER_BYTES });

let state = Number(seed) >>> 0;
/** mulberry32 */
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

function pass(datagram, to) {
  counts.passed += 1;
  if (delay === "0") socket.send(datagram, TUNNEL_PORT, to);
  else setTimeout(() => socket.send(datagram, TUNNEL_PORT, to), Number(delay));
}

socket.on("message", (datagram, { address }) => {
  const to = address === left ? right : left;
  for (const each of waiting) each.behind -= 1;
  while (waiting[0]?.behind === 0) {
    const { datagram: overtaken, to: itsNode } = waiting.shift();
    pass(overtaken, itsNode);
  }
  const fate = random();
  if (fate < Number(loss)) {
    counts.dropped += 1;
  } else if (fate < Number(loss) + Number(late)) {
    counts.late += 1;
    waiting.push({ datagram, to, behind: BEHIND });
  } else {
    pass(datagram, to);
  }
});
process.on("SIGTERM", () => {
  console.log(JSON.stringify(counts));
  process.exit(0);
});
socket.bind(TUNNEL_PORT, own, () => console.log("relay ready"));
