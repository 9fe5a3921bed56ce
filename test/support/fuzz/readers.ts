// All readers that are fuzzed, by name.
import { apiReader } from "./api-reader.ts";
import { FILE_READERS } from "./file-readers.ts";
import type { Reader } from "./reader.ts";
import { TEXT_READERS } from "./text-readers.ts";

export const READERS: Readonly<Record<string, () => Promise<Reader>>> = {
  ...TEXT_READERS,
  ...FILE_READERS,
  api: apiReader,
};
