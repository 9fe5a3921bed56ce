// Which datagrams the kernel puts into the tunnel's socket while the underlay is encrypted: what came out of WireGuard,
// and, where some nodes are reached in clear, what does not claim to have come out of it.
// A classic BPF program (linux/filter.h, Documentation/networking/filter.rst); it runs before the datagram is queued.

import { addressOf, expectSuccess, setsockopt } from "./libc.ts";

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
// linux/bpf_common.h
const LOAD_WORD = 0x20; // BPF_LD | BPF_W | BPF_ABS
const LOAD_HALF = 0x28; // BPF_LD | BPF_H | BPF_ABS
const LOAD_BYTE = 0x30; // BPF_LD | BPF_B | BPF_ABS
const AND = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP_EQUAL = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN = 0x06; // BPF_RET | BPF_K
// Offsets that stand for something else than bytes of the datagram
const INTERFACE_INDEX = 0xffff_f000 + 8; // SKF_AD_OFF + SKF_AD_IFINDEX
const NETWORK_HEADER = 0xfff0_0000; // SKF_NET_OFF
const IPV6_SOURCE = 8;
const WHOLE = 0xffff_ffff;

/** struct sock_filter */
interface Instruction {
  readonly code: number;
  readonly ifTrue: number; // instructions to skip
  readonly ifFalse: number;
  readonly value: number;
}
const INSTRUCTION_SIZE = 8;
const PROGRAM_SIZE = 16; // struct sock_fprog

interface UnderlayFilter {
  /** Index of the WireGuard interface. */
  readonly interfaceIndex: number;
  /** First 48 bits of the addresses inside, as bytes. */
  readonly prefix: Uint8Array;
  /** Whether some node sends in clear. */
  readonly isClearTaken: boolean;
}

/** Replaces the filter of a socket; no datagram passes between the old one and the new one. */
export function attachFilter(fd: number, filter: UnderlayFilter): void {
  const instructions = filterProgram(filter);
  // struct sock_fprog: u16 count, at 8 the address of the instructions, which follow it
  const view = new DataView(new ArrayBuffer(PROGRAM_SIZE + INSTRUCTION_SIZE * instructions.length));
  view.setUint16(0, instructions.length, true);
  view.setBigUint64(8, addressOf(view.buffer) + BigInt(PROGRAM_SIZE), true);
  instructions.forEach(({ code, ifTrue, ifFalse, value }, i) => {
    const at = PROGRAM_SIZE + INSTRUCTION_SIZE * i;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, value, true);
  });
  expectSuccess(
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(view.buffer), PROGRAM_SIZE),
    "Restricting the tunnel's socket to the encrypted underlay (SO_ATTACH_FILTER)",
  );
}

function filterProgram({ interfaceIndex, prefix, isClearTaken }: UnderlayFilter): readonly Instruction[] {
  const take: Instruction = { code: RETURN, ifTrue: 0, ifFalse: 0, value: WHOLE };
  const drop: Instruction = { ...take, value: 0 };
  const load = (code: number, value: number): Instruction => ({ code, ifTrue: 0, ifFalse: 0, value });
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  const fromWireguard = [
    load(LOAD_WORD, INTERFACE_INDEX),
    { code: JUMP_EQUAL, ifTrue: 0, ifFalse: 1, value: interfaceIndex },
    take,
  ];
  if (!isClearTaken) return [...fromWireguard, drop];
  return [
    ...fromWireguard,
    load(LOAD_BYTE, NETWORK_HEADER),
    load(AND, 0xf0),
    { code: JUMP_EQUAL, ifTrue: 0, ifFalse: 5, value: 0x60 }, // IPv4 claims nothing
    load(LOAD_WORD, NETWORK_HEADER + IPV6_SOURCE),
    { code: JUMP_EQUAL, ifTrue: 0, ifFalse: 3, value: view.getUint32(0) },
    load(LOAD_HALF, NETWORK_HEADER + IPV6_SOURCE + 4),
    { code: JUMP_EQUAL, ifTrue: 0, ifFalse: 1, value: view.getUint16(4) },
    drop,
    take,
  ];
}
