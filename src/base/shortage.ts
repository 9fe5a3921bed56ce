// What a machine may run out of while a program does all right: descriptors, room on a disk, memory, processes. Such an
// error says nothing about what was asked for, and passes when somebody makes room.

import { SapwoodError } from "./errors.ts";

interface Shortage {
  /** As errno(3) names it. */
  readonly code: string;
  readonly sentence: string;
  readonly advice: string;
}

const MORE_DESCRIPTORS =
  'Find who holds so many ("ls -l /proc/PID/fd"), or let the process have more (LimitNOFILE= of its unit, ulimit -n).';
const MORE_ROOM = "Make room on that disk.";
const MORE_MEMORY = "Give the machine or the unit more memory (MemoryMax=), or lower flows.limit.";

const NO_DESCRIPTOR = ["EMFILE", "ENFILE"];

const SHORTAGES: readonly Shortage[] = [
  {
    code: "EMFILE",
    sentence: "The process has as many files and sockets open as it may",
    advice: MORE_DESCRIPTORS,
  },
  {
    code: "ENFILE",
    sentence: "The machine has as many files and sockets open as it may",
    advice: "Find who holds so many, or raise the kernel parameter fs.file-max.",
  },
  { code: "ENOSPC", sentence: "No room is left on the disk", advice: MORE_ROOM },
  { code: "EDQUOT", sentence: "The user's quota of the disk is used up", advice: MORE_ROOM },
  {
    code: "EROFS",
    sentence: "The file system can only be read",
    advice: "See why (dmesg), and mount it to be written, or name another folder in the configuration.",
  },
  { code: "EIO", sentence: "The disk reports an error", advice: "See which (dmesg), and replace what is broken." },
  { code: "ENOMEM", sentence: "No memory is left", advice: MORE_MEMORY },
  {
    code: "EAGAIN",
    sentence: "The machine has as many processes and threads as it may",
    advice: "Find who has so many, or let the unit have more (TasksMax=, ulimit -u).",
  },
];

/** What was missing when `thrown` came about, itself or one of its causes; undefined: it is about something else. */
export function shortageOf(thrown: unknown): Shortage | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const { code, syscall = "" } = error as NodeJS.ErrnoException;
    const found = SHORTAGES.find((one) => one.code === code);
    // Elsewhere it means that nothing is there yet.
    if (found !== undefined && (code !== "EAGAIN" || syscall.startsWith("spawn"))) return found;
  }
  return undefined;
}

/** Says so if a descriptor was missing when `thrown` came about; undefined: it is about something else. */
export function descriptorShortage(thrown: unknown): SapwoodError | undefined {
  const shortage = shortageOf(thrown);
  if (shortage === undefined || !NO_DESCRIPTOR.includes(shortage.code)) return undefined;
  const message = `${shortage.sentence}, so that this cannot be answered; packets flow. ${shortage.advice}`;
  return new SapwoodError("out-of-descriptors", message, { cause: thrown });
}
