// A service record, as a type. shared/layout/service.ts says what each field means. The compiler holds the fields to
// their places.

import * as ServiceLayout from "../shared/layout/service.ts";

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
  if (offsetof<Service>("kind") != ServiceLayout.KIND) ERROR("Service.kind is misplaced");
  if (offsetof<Service>("policy") != ServiceLayout.POLICY) ERROR("Service.policy is misplaced");
  if (offsetof<Service>("id") != ServiceLayout.ID) ERROR("Service.id is misplaced");
  if (offsetof<Service>("revision") != ServiceLayout.REVISION) ERROR("Service.revision is misplaced");
  if (offsetof<Service>("candidateCount") != ServiceLayout.CANDIDATE_COUNT)
    ERROR("Service.candidateCount is misplaced");
  if (offsetof<Service>("candidates") != ServiceLayout.CANDIDATES) ERROR("Service.candidates is misplaced");
  if (offsetof<Service>("family") != ServiceLayout.FAMILY) ERROR("Service.family is misplaced");
}
