// The system calls that Node does not offer, bound with koffi; the only file that knows it.
// Promises: no function throws, none retries; each returns what the call returned, or the negated errno (-EAGAIN).
// Addresses are plain numbers: user space of 64-bit Linux ends below 2^57, and where memory really lies below 2^47.

import koffi from "koffi";
import { type ErrorCode, SapwoodError } from "../base/errors.ts";

// asm-generic/fcntl.h, sys/socket.h, poll.h, sys/eventfd.h (x86-64 and arm64 agree)
export const O_RDWR = 0o2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
const MSG_DONTWAIT = 0x40;
export const POLLIN = 0x1;
export const POLLOUT = 0x4;

const errnoByName: Readonly<Record<string, number>> = koffi.os.errno;

/** 13 for "EACCES"; undefined: there is none of that name. */
export function errnoOf(name: string): number | undefined {
  return Object.hasOwn(errnoByName, name) ? errnoByName[name] : undefined;
}

function errnoNumber(name: string): number {
  const number = errnoOf(name);
  if (number === undefined) throw new SapwoodError("system-call", `This platform has no errno ${name}; Linux has.`);
  return number;
}

export const EPERM = errnoNumber("EPERM");
export const ENOENT = errnoNumber("ENOENT");
export const ENOSYS = errnoNumber("ENOSYS");
export const EINTR = errnoNumber("EINTR");
export const EIO = errnoNumber("EIO");
export const ENXIO = errnoNumber("ENXIO");
export const EBADF = errnoNumber("EBADF");
export const EAGAIN = errnoNumber("EAGAIN");
export const EACCES = errnoNumber("EACCES");
export const EFAULT = errnoNumber("EFAULT");
export const EBUSY = errnoNumber("EBUSY");
export const ENODEV = errnoNumber("ENODEV");
export const EINVAL = errnoNumber("EINVAL");
export const EBADFD = 77; // asm-generic/errno.h; koffi's table leaves it out
export const ENOTSOCK = errnoNumber("ENOTSOCK");
export const EADDRINUSE = errnoNumber("EADDRINUSE");
export const EADDRNOTAVAIL = errnoNumber("EADDRNOTAVAIL");
export const EMSGSIZE = errnoNumber("EMSGSIZE");
export const ENOBUFS = errnoNumber("ENOBUFS");
export const EOPNOTSUPP = errnoNumber("EOPNOTSUPP");
export const ECANCELED = errnoNumber("ECANCELED");
export const ECONNREFUSED = errnoNumber("ECONNREFUSED");

/** Memory that a call reads or fills; it must live outside V8's heap only if its address outlives the call. */
type Bytes = Uint8Array | Uint32Array;
type Call<Arguments extends readonly (number | string | Bytes)[]> = (...args: Arguments) => number;

// The C library of the process itself, so that the same line serves glibc and musl.
const library = koffi.load(null);

/** `definition` is C with koffi's type names; it knows no ssize_t and no socklen_t. */
function bind<Arguments extends readonly (number | string | Bytes)[]>(definition: string): Call<Arguments> {
  let call: Call<Arguments> | undefined; // bound when it is first called: a process needs few of them to start
  return (...args) => {
    call ??= library.func(definition) as Call<Arguments>;
    const result = call(...args);
    return result < 0 ? -koffi.errno() : result;
  };
}

// Calls of the data path take addresses as numbers, 15 % cheaper than a typed array; and no rest arguments,
// which would allocate an array for each call.
const readCall: Call<[number, number, number]> = library.func("int64_t read(int fd, uintptr_t buffer, size_t size)");
const writevCall: Call<[number, number, number]> = library.func("int64_t writev(int fd, uintptr_t iov, int count)");
const sendmmsgCall: Call<[number, number, number, number]> = library.func(
  "int sendmmsg(int fd, uintptr_t messages, unsigned int count, int flags)",
);
const recvmmsgCall: Call<[number, number, number, number, number]> = library.func(
  "int recvmmsg(int fd, uintptr_t messages, unsigned int count, int flags, uintptr_t timeout)",
);
const recvmsgCall: Call<[number, number, number]> = library.func(
  "int64_t recvmsg(int fd, uintptr_t message, int flags)",
);
const pollCall: Call<[number, number, number]> = library.func(
  "int poll(uintptr_t fds, unsigned long count, int timeout)",
);

export function read(fd: number, at: number, size: number): number {
  const result = readCall(fd, at, size);
  return result < 0 ? -koffi.errno() : result;
}

export function writev(fd: number, iovecsAt: number, count: number): number {
  const result = writevCall(fd, iovecsAt, count);
  return result < 0 ? -koffi.errno() : result;
}

export function sendmmsg(fd: number, messagesAt: number, count: number): number {
  const result = sendmmsgCall(fd, messagesAt, count, MSG_DONTWAIT);
  return result < 0 ? -koffi.errno() : result;
}

export function recvmmsg(fd: number, messagesAt: number, count: number): number {
  const result = recvmmsgCall(fd, messagesAt, count, MSG_DONTWAIT, 0);
  return result < 0 ? -koffi.errno() : result;
}

export function recvmsg(fd: number, messageAt: number, flags: number): number {
  const result = recvmsgCall(fd, messageAt, flags | MSG_DONTWAIT);
  return result < 0 ? -koffi.errno() : result;
}

const sendmsgCall: Call<[number, number, number]> = library.func(
  "int64_t sendmsg(int fd, uintptr_t message, int flags)",
);

export function sendmsg(fd: number, messageAt: number, flags: number): number {
  const result = sendmsgCall(fd, messageAt, flags | MSG_DONTWAIT);
  return result < 0 ? -koffi.errno() : result;
}

/** `timeoutMs` -1 waits for ever. */
export function poll(pollfdsAt: number, count: number, timeoutMs: number): number {
  const result = pollCall(pollfdsAt, count, timeoutMs);
  return result < 0 ? -koffi.errno() : result;
}

export const open = bind<[string, number]>("int open(const char *path, int flags)");
export const close = bind<[number]>("int close(int fd)");
export const write = bind<[number, Bytes, number]>("int64_t write(int fd, const void *buffer, size_t size)");
export const ioctl = bind<[number, number, Bytes]>("int ioctl(int fd, unsigned long request, void *argument)");
/** For requests whose argument is a number. */
export const ioctlNumber = bind<[number, number, number]>(
  "int ioctl(int fd, unsigned long request, uintptr_t argument)",
);
export const socket = bind<[number, number, number]>("int socket(int family, int type, int protocol)");
export const bindSocket = bind<[number, Bytes, number]>("int bind(int fd, const void *address, uint32_t size)");
export const connectSocket = bind<[number, Bytes, number]>("int connect(int fd, const void *address, uint32_t size)");
export const listen = bind<[number, number]>("int listen(int fd, int backlog)");
/** `addressAt` and `sizeAt` 0: who it is is not asked for. */
export const accept = bind<[number, number, number, number]>(
  "int accept4(int fd, uintptr_t address, uintptr_t size, int flags)",
);
export const receive = bind<[number, Bytes, number, number]>(
  "int64_t recv(int fd, void *buffer, size_t size, int flags)",
);
export const send = bind<[number, Bytes, number, number]>(
  "int64_t send(int fd, const void *buffer, size_t size, int flags)",
);
export const dup2 = bind<[number, number]>("int dup2(int fd, int wanted)");
export const getsockname = bind<[number, Bytes, Uint32Array]>("int getsockname(int fd, void *address, void *size)");
export const setsockopt = bind<[number, number, number, Bytes, number]>(
  "int setsockopt(int fd, int level, int option, const void *value, uint32_t size)",
);
export const getsockopt = bind<[number, number, number, Bytes, Uint32Array]>(
  "int getsockopt(int fd, int level, int option, void *value, void *size)",
);
const ifNametoindexCall: Call<[string]> = library.func("unsigned int if_nametoindex(const char *name)");
/** 0: there is none in this network namespace; below 0: it cannot be told, without a descriptor to ask by (-EMFILE), say. */
export function ifNametoindex(name: string): number {
  const index = ifNametoindexCall(name);
  if (index !== 0) return index;
  const errno = koffi.errno();
  return errno === ENODEV ? 0 : -errno;
}
/** With operations whose argument is a number. */
export const fcntlNumber = bind<[number, number, number]>("int fcntl(int fd, int operation, long argument)");
/** Gives a file room for a range of its bytes, or says why not (-ENOSPC): writing there can no longer fail. */
export const fallocate = bind<[number, number, number, number]>(
  "int fallocate(int fd, int mode, int64_t offset, int64_t size)",
);
/** `at` must be a multiple of the page size, also behind other pages of the range that are replaced. */
export const mmap = bind<[number, number, number, number, number, number]>(
  "intptr_t mmap(uintptr_t at, size_t size, int protection, int flags, int fd, int64_t offset)",
);
export const flock = bind<[number, number]>("int flock(int fd, int operation)");
/** Of the calling thread; the arguments are what the operation takes (linux/prctl.h). */
export const prctl = bind<[number, number, number, number, number]>(
  "int prctl(int operation, unsigned long, unsigned long, unsigned long, unsigned long)",
);
/** Of the calling thread (capabilities(7)). */
export const capset = bind<[Uint32Array, Uint32Array]>("int capset(void *header, const void *data)");
export const setpriority = bind<[number, number, number]>("int setpriority(int which, unsigned int who, int value)");
/** `limit` is a struct rlimit: soft and hard, 64 bits each. */
export const getrlimit = bind<[number, Bytes]>("int getrlimit(int resource, void *limit)");
export const setrlimit = bind<[number, Bytes]>("int setrlimit(int resource, const void *limit)");
export const gettid = bind<[]>("int gettid()");
/** `clock` is a struct timex; with its modes 0 nothing is changed (adjtimex(2)). */
export const adjtimex = bind<[Bytes]>("int adjtimex(void *clock)");
/** `time` is a struct timespec. */
export const clockGettime = bind<[number, Bytes]>("int clock_gettime(int clock, void *time)");
const execvCall: (path: string, argv: readonly (string | null)[]) => number = library.func(
  "int execv(const char *path, const char **argv)",
);
/** Goes on as another program in this process; returns only when that failed. */
export function execv(path: string, argv: readonly string[]): number {
  execvCall(path, [...argv, null]);
  return -koffi.errno();
}
/** `ends` takes two descriptors. */
export const socketpair = bind<[number, number, number, Uint32Array]>(
  "int socketpair(int family, int type, int protocol, void *ends)",
);
const addDup2Call = bind<[Bytes, number, number]>(
  "int posix_spawn_file_actions_adddup2(void *actions, int fd, int wanted)",
);
const destroyActionsCall = bind<[Bytes]>("int posix_spawn_file_actions_destroy(void *actions)");
const initActionsCall = bind<[Bytes]>("int posix_spawn_file_actions_init(void *actions)");
let spawnCall:
  | ((pid: Uint32Array, path: string, actions: Bytes, attributes: null, ...texts: (string | null)[][]) => number)
  | undefined;
/** Room for a posix_spawn_file_actions_t, which has 80 bytes. */
const FILE_ACTIONS_SIZE = 1024;
/** Starts a program without variables whose descriptors from 0 on are these. Returns its process id. */
export function posixSpawn(path: string, argv: readonly string[], descriptors: readonly number[]): number {
  spawnCall ??= library.func(
    "int posix_spawn(void *pid, const char *path, void *actions, void *attributes, const char **argv, const char **envp)",
  ) as NonNullable<typeof spawnCall>;
  const pid = new Uint32Array(1);
  const actions = new Uint8Array(FILE_ACTIONS_SIZE);
  initActionsCall(actions);
  try {
    for (const [wanted, fd] of descriptors.entries()) addDup2Call(actions, fd, wanted);
    const errno = spawnCall(pid, path, actions, null, [...argv, null], [null]);
    return errno === 0 ? (pid[0] ?? 0) : -errno;
  } finally {
    destroyActionsCall(actions);
  }
}
let waitCall: ReturnType<typeof library.func> | undefined;
/** Resolves when a child is gone that is about to end. A thread waits for it. */
export function waitForChild(pid: number): Promise<void> {
  waitCall ??= library.func("int waitpid(int pid, uintptr_t status, int options)");
  const { async } = waitCall;
  return new Promise((resolve) => async(pid, 0, 0, () => resolve()));
}
// asm-generic/unistd.h, the same numbers on all machines; musl has no functions for them.
const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_IO_URING_SETUP = 425;
const SYS_IO_URING_ENTER = 426;
const SYS_PIDFD_OPEN = 434;
const systemCall = bind<[number, number, number, number, number]>(
  "long syscall(long number, long first, long second, long third, long fourth)",
);
/** A descriptor of a process, close-on-exec. */
export function pidfdOpen(pid: number): number {
  return systemCall(SYS_PIDFD_OPEN, pid, 0, 0, 0);
}
export function pidfdSendSignal(fd: number, signal: number): number {
  return systemCall(SYS_PIDFD_SEND_SIGNAL, fd, signal, 0, 0);
}
const ioUringSetupCall: Call<[number, number, Bytes]> = library.func(
  "long syscall(long number, long entries, void *params)",
);
/** A descriptor, close-on-exec; `params` is a struct io_uring_params (io_uring_setup(2)). */
export function ioUringSetup(entries: number, params: Bytes): number {
  const result = ioUringSetupCall(SYS_IO_URING_SETUP, entries, params);
  return result < 0 ? -koffi.errno() : result;
}
const ioUringEnterCall: Call<[number, number, number, number, number, number, number]> = library.func(
  "long syscall(long number, long fd, long submit, long complete, long flags, long argument, long size)",
);
/** How many entries were taken (io_uring_enter(2)). */
export function ioUringEnter(fd: number, submit: number, complete: number, flags: number): number {
  const result = ioUringEnterCall(SYS_IO_URING_ENTER, fd, submit, complete, flags, 0, 0);
  return result < 0 ? -koffi.errno() : result;
}
/** Non-blocking and close-on-exec, starting at 0. */
export const eventfd = bind<[number, number]>("int eventfd(unsigned int initial, int flags)");

/**
 * Native address of the first byte of `buffer`. Only memory that never moves has one worth keeping: a shared
 * WebAssembly.Memory (its pages are reserved up to its maximum) or an ArrayBuffer that somebody holds.
 */
export function addressOf(buffer: ArrayBuffer | SharedArrayBuffer): bigint {
  return koffi.address(new Uint8Array(buffer));
}

/** "EACCES" for 13; "errno 4095" for a number that has no name. Takes the sign that the calls return as well. */
export function errnoName(errno: number): string {
  const number = Math.abs(errno);
  if (number === EBADFD) return "EBADFD";
  for (const [name, value] of Object.entries(errnoByName)) if (value === number) return name;
  return `errno ${number}`;
}

/** `result` itself when the call succeeded; else throws "`what` failed with ENOMEM". */
export function expectSuccess(result: number, what: string, code: ErrorCode = "system-call"): number {
  if (result >= 0) return result;
  throw new SapwoodError(code, `${what} failed with ${errnoName(result)}.`);
}
