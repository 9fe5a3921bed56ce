// Kernel parameters as files below /proc/sys. A path is "net/ipv4/ip_forward": names of interfaces may have dots in them.

import { existsSync, readFileSync, writeFileSync } from "node:fs";

/** Where parameters are read and written; a test passes its own. Both throw what the file system says. */
export interface SysctlStore {
  read(path: string): string;
  write(path: string, value: string): void;
}

export const kernelSysctls: SysctlStore = {
  read: (path) => readFileSync(fileOf(path), "utf8").trim(),
  write: (path, value) => writeFileSync(fileOf(path), value),
};

/** Undefined when the kernel has no such parameter, or not at the moment. */
export function readSysctl(path: string): string | undefined {
  try {
    return kernelSysctls.read(path);
  } catch {
    return undefined;
  }
}

/** Also of a folder of them. */
export function hasSysctl(path: string): boolean {
  return existsSync(fileOf(path));
}

function fileOf(path: string): string {
  return `/proc/sys/${path}`;
}
