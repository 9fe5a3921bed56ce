// `sapwood key next`: begins to replace this node's key. The one in force stays until `sapwood key activate`.

import type { Command } from "./command.ts";
import { keyCommand } from "./key-command.ts";

export const keyNextCommand: Command = keyCommand({
  name: "key next",
  summary: "make the key that is to replace this node's key; it is not used before `key activate`",
  examples: [
    {
      line: "key next",
      does: "what goes into nextPublicKey in the other nodes' files",
    },
  ],
  async keys(files) {
    const { ensureKey } = await import("../control/underlay/key-file.ts");
    return { publicKey: ensureKey(files.current), nextPublicKey: ensureKey(files.next) };
  },
});
