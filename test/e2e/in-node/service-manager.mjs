// Stands for systemd: `service-manager.mjs SOCKET COMMAND...` runs the command, starts it again when it fails, and
// keeps the descriptors that it is sent meanwhile (sd_notify(3), sd_listen_fds(3)). Prints one line for each start and
// for each descriptor that it keeps or forgets. Ends when the command ends with 0.
import { spawn } from "node:child_process";
import { closeSync } from "node:fs";
import koffi from "koffi";

const [AF_UNIX, SOCK_DGRAM, MSG_DONTWAIT, MSG_CMSG_CLOEXEC] = [1, 2, 0x40, 0x40000000];
const [IOVEC_AT, CONTROL_AT, BYTES_AT, CONTROL_SIZE, BYTES_SIZE] = [56, 72, 512, 440, 512];
const LOOK_MS = 2;
const RESTART_MS = 100;

const library = koffi.load(null);
const socket = library.func("int socket(int family, int type, int protocol)");
const bind = library.func("int bind(int fd, const void *address, uint32_t size)");
const recvmsg = library.func("int64_t recvmsg(int fd, uintptr_t message, int flags)");

const [path = "", ...command] = process.argv.slice(2);
const fd = socket(AF_UNIX, SOCK_DGRAM, 0);
const address = Buffer.alloc(110);
address.writeUInt16LE(AF_UNIX);
address.write(path, 2);
if (bind(fd, address, address.length) < 0) throw new Error(`binding ${path} failed`);

const buffer = Buffer.from(new ArrayBuffer(BYTES_AT + BYTES_SIZE));
const at = koffi.address(new Uint8Array(buffer.buffer));
/** struct msghdr of what comes next. */
function prepare() {
  buffer.fill(0);
  buffer.writeBigUInt64LE(at + BigInt(IOVEC_AT), 16);
  buffer.writeBigUInt64LE(1n, 24);
  buffer.writeBigUInt64LE(at + BigInt(CONTROL_AT), 32);
  buffer.writeBigUInt64LE(BigInt(CONTROL_SIZE), 40);
  buffer.writeBigUInt64LE(at + BigInt(BYTES_AT), IOVEC_AT);
  buffer.writeBigUInt64LE(BigInt(BYTES_SIZE), IOVEC_AT + 8);
}

const kept = new Map();
setInterval(() => {
  for (;;) {
    prepare();
    const length = Number(recvmsg(fd, at, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    if (length <= 0) return;
    const text = buffer.toString("utf8", BYTES_AT, BYTES_AT + length);
    const fields = new Map(text.split("\n").map((line) => line.split("=")));
    const name = fields.get("FDNAME");
    if (fields.get("FDSTORE") === "1") keep(name, buffer.readInt32LE(CONTROL_AT + 16));
    if (fields.get("FDSTOREREMOVE") === "1") forget(name);
  }
}, LOOK_MS);

function keep(name, descriptor) {
  if (kept.has(name)) return closeSync(descriptor); // it is there already
  kept.set(name, descriptor);
  process.stdout.write(`kept ${name}\n`);
}

function forget(name) {
  const descriptor = kept.get(name);
  if (descriptor === undefined) return;
  kept.delete(name);
  closeSync(descriptor);
  process.stdout.write(`forgot ${name}\n`);
}

function start() {
  const names = [...kept.keys()].reverse(); // in no order that anybody may count on
  const listen =
    names.length === 0 ? "" : `LISTEN_PID=$$ LISTEN_FDS=${names.length} LISTEN_FDNAMES=${names.join(":")} `;
  const child = spawn("sh", ["-c", `${listen}exec "$@"`, "sh", ...command], {
    env: { ...process.env, NOTIFY_SOCKET: path },
    stdio: ["ignore", "inherit", "inherit", ...names.map((name) => kept.get(name))],
  });
  process.stdout.write(`started ${child.pid}\n`);
  child.once("exit", (code, signal) => {
    if (signal === "SIGKILL") return start();
    if (code !== 0) return void setTimeout(start, RESTART_MS);
    process.exitCode = 0;
    setTimeout(() => process.exit(), 50 * LOOK_MS); // what it said last
  });
  process.removeAllListeners("SIGTERM");
  process.on("SIGTERM", () => child.kill("SIGTERM"));
}
start();
