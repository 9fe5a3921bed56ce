// Which processes have a UDP port in this network namespace, as far as this user may see.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

interface PortHolder {
  readonly pid: number;
  readonly name: string;
}

export function udpPortHolders(port: number): PortHolder[] {
  const sockets = new Set(
    ["udp", "udp6"].flatMap((table) => inodesOf(table, port)).map((inode) => `socket:[${inode}]`),
  );
  if (sockets.size === 0) return [];
  return processes()
    .filter((pid) => filesOf(pid).some((file) => sockets.has(file)))
    .map((pid) => ({ pid, name: nameOf(pid) }));
}

/** Lines of /proc/net/udp (proc(5)): local address and port in hexadecimal, ..., inode. */
function inodesOf(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  return read(`/proc/net/${table}`)
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([, local = "", , , , , , , , inode]) =>
      local.endsWith(`:${wanted}`) && inode !== undefined ? [inode] : [],
    );
}

function processes(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** What the descriptors of a process lead to; none of one that ended or is somebody else's. */
function filesOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readLink(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function nameOf(pid: number): string {
  return read(`/proc/${pid}/comm`).trim();
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
