// The memory map: one WebAssembly.Memory that the control plane and every worker share.
// PORTABLE: compiled by asc and by tsc; plain constants and enums only.
//
// Each file of this folder places the fields of one region or record. Its constants are used with the name of the file
// in front: `import * as FlowLayout from "../shared/layout/flow.ts"`, then `FlowLayout.NODE`. Enums are imported by
// name.
//
//   0x0000           never used, so that address 0 means "none"
//   HeaderLayout.AT  version, generation, capacities, region table, timeouts, service ranges
//   regions          placed by src/memory/shared-memory.ts from the configured capacities;
//                    their addresses are in the header's region table, in the order of `Region`
//
// All integers are little-endian and naturally aligned. Addresses of hosts are 16 bytes in network order, IPv4 as
// v4-mapped IPv6 (RFC 4291 section 2.5.5.2). Ports in records are in network order, as they are in a packet, so that
// the data plane compares and copies them without swapping.

/** A module built for another version must not touch the memory. Raise it with any change of this folder. */
export const LAYOUT_VERSION = 12;
