// Entry of the process in which a long text is read. It may die of it: its memory and processor time are limited.

import { SapwoodError } from "../../base/errors.ts";
import { becomeExpendable, limitProcessorTime } from "../../sys/limits.ts";
import { parseText } from "./parse-text.ts";
import type { TextAnswer, TextRequest } from "./text-contract.ts";

const CPU_SECONDS = Number(process.argv[2]);

function answerTo(request: TextRequest): TextAnswer {
  try {
    return { kind: "read", value: parseText(request) };
  } catch (error) {
    if (error instanceof SapwoodError) {
      const { code, message, details } = error;
      return { kind: "refused", code, message, details };
    }
    return { kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

becomeExpendable();
limitProcessorTime(CPU_SECONDS);
process.on("disconnect", () => process.exit());
process.on("message", (request: TextRequest) => {
  process.send?.(answerTo(request), () => process.exit());
});
