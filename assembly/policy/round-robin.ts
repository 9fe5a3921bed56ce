// Round robin: a true rotation. As long as the candidates stay, any k x n choices in a row give each of the n
// candidates that take new flows exactly k; when they change, it goes on after the instance that was chosen last.

import { abiVersion, CHOICE_NONE, reserve, Service, update } from "./sdk.ts";

export { abiVersion, reserve, update };

export function choose(service: i32, flowHash: i32, _clientHash: i32): i32 {
  const known = Service.find(service);
  return known == null ? CHOICE_NONE : known.next(flowHash);
}
