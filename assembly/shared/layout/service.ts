// A service record (writer: control).
// One per service or instance address and change: never altered once a generation shows it. Index 0 is never used.

export const SIZE = 32;
export const KIND = 0; // u32: ServiceKind
export const POLICY = 4; // u32: index of the policy, by which the worker finds the module
export const ID = 8; // u32: handle of a balanced address; stays when candidates change; else 0
export const REVISION = 12; // u32: grows when candidates change
export const CANDIDATE_COUNT = 16; // u32
export const CANDIDATES = 20; // u32: index of the first candidate; for ServiceKind.instance: the instance itself
export const FAMILY = 24; // u32: 4 or 6, of a balanced address; else 0

export enum ServiceKind {
  none,
  balanced,
  instance,
}
