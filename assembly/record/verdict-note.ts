// What happened to one packet, as a type. shared/layout/verdict-note.ts says what each field means.

@unmanaged
export class VerdictNote {
  at: u32;
  length: u32;
  verdict: u32;
  flow: u32;
}
