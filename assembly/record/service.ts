// A service record, as a type. shared/layout/service.ts says what each field means.

@unmanaged
export class Service {
  kind: u32;
  policy: u32;
  id: u32;
  revision: u32;
  candidateCount: u32;
  candidates: u32;
  family: u32;

  static at(address: usize): Service {
    return changetype<Service>(address);
  }
}
