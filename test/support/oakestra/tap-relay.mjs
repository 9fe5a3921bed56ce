// One end of a cable between two taps of different network namespaces: what a virtual machine does with its device.
// Usage: tap-relay.mjs LIBC DEVICE NAME SOCKET. The first end to come listens on the socket, the other one connects.
import { openSync, read, write } from "node:fs";
import { connect, createServer } from "node:net";

const TUNSETIFF = 0x400454ca;
const IFREQ_BYTES = 40;
const FLAGS_AT = 16;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const FRAME_BYTES_MAX = 65_536;
const LENGTH_BYTES = 4;

const [libc = "", device = "", name = "", socketPath = ""] = process.argv.slice(2);
const { ioctl } = await import(libc);
const tap = openSync(device, "r+");
const request = Buffer.alloc(IFREQ_BYTES);
request.write(name);
request.writeUInt16LE(IFF_TAP | IFF_NO_PI, FLAGS_AT);
const result = ioctl(tap, TUNSETIFF, request);
if (result < 0) throw new Error(`TUNSETIFF of ${device} failed with ${result}`);

const first = connect(socketPath);
first.once("connect", () => relay(first));
first.once("error", () => {
  createServer(relay).listen(socketPath, () => process.stdout.write("listening\n"));
});

/** @param {import("node:net").Socket} cable */
function relay(cable) {
  const frame = Buffer.alloc(FRAME_BYTES_MAX);
  const next = () =>
    read(tap, frame, 0, frame.length, null, (error, size) => {
      if (error !== null) throw error;
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32LE(size);
      cable.write(Buffer.concat([length, frame.subarray(0, size)]));
      next();
    });
  next();
  let received = Buffer.alloc(0);
  cable.on("data", (part) => {
    received = Buffer.concat([received, part]);
    while (received.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + received.readUInt32LE(0);
      if (received.length < end) break;
      write(tap, received.subarray(LENGTH_BYTES, end), () => undefined); // a device that is down takes none
      received = received.subarray(end);
    }
  });
  process.stdout.write("connected\n");
}
