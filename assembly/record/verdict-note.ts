// What happened to one packet, as a type. shared/layout/verdict-note.ts says what each field means. The compiler holds the
// fields to their places.

import * as VerdictNoteLayout from "../shared/layout/verdict-note.ts";

@unmanaged
export class VerdictNote {
  at: u32;
  length: u32;
  verdict: u32;
  flow: u32;
}

/** Ends the compilation when a field is not at its place. */
export function checkVerdictNote(): void {
  if (offsetof<VerdictNote>("at") != VerdictNoteLayout.AT) ERROR("VerdictNote.at is misplaced");
  if (offsetof<VerdictNote>("length") != VerdictNoteLayout.LENGTH) ERROR("VerdictNote.length is misplaced");
  if (offsetof<VerdictNote>("verdict") != VerdictNoteLayout.VERDICT) ERROR("VerdictNote.verdict is misplaced");
  if (offsetof<VerdictNote>("flow") != VerdictNoteLayout.FLOW) ERROR("VerdictNote.flow is misplaced");
}
