// A row of packets that wait, as a type. shared/layout/waiting.ts says what each field means.

@unmanaged
export class WaitingRow {
  first: u32;
  last: u32;
  count: u32;
  bytes: u32;

  static at(address: usize): WaitingRow {
    return changetype<WaitingRow>(address);
  }
}
