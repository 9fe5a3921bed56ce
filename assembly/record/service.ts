// A service record, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  SERVICE_CANDIDATE_COUNT,
  SERVICE_CANDIDATES,
  SERVICE_FAMILY,
  SERVICE_ID,
  SERVICE_KIND,
  SERVICE_POLICY,
  SERVICE_REVISION,
} from "../shared/layout.ts";

@unmanaged
export class Service {
  kind: u32;
  policy: u32;
  id: u32;
  revision: u32;
  candidateCount: u32;
  candidates: u32;
  family: u32;

  @inline
  static at(address: usize): Service {
    return changetype<Service>(address);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkService(): void {
  if (offsetof<Service>("kind") != SERVICE_KIND) ERROR("Service.kind is not at SERVICE_KIND");
  if (offsetof<Service>("policy") != SERVICE_POLICY) ERROR("Service.policy is not at SERVICE_POLICY");
  if (offsetof<Service>("id") != SERVICE_ID) ERROR("Service.id is not at SERVICE_ID");
  if (offsetof<Service>("revision") != SERVICE_REVISION) ERROR("Service.revision is not at SERVICE_REVISION");
  if (offsetof<Service>("candidateCount") != SERVICE_CANDIDATE_COUNT)
    ERROR("Service.candidateCount is not at SERVICE_CANDIDATE_COUNT");
  if (offsetof<Service>("candidates") != SERVICE_CANDIDATES) ERROR("Service.candidates is not at SERVICE_CANDIDATES");
  if (offsetof<Service>("family") != SERVICE_FAMILY) ERROR("Service.family is not at SERVICE_FAMILY");
}
