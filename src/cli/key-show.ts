// `sapwood key show`: the public key of this node, which the other nodes' files name. Makes the key if there is none.

import type { Command } from "./command.ts";
import { keyCommand } from "./key-command.ts";

export const keyShowCommand: Command = keyCommand({
  name: "key show",
  summary: "show this node's public key for the encrypted underlay; make the key if there is none yet",
  examples: [
    { line: "key show", does: "what goes into publicKey in the other nodes' files" },
    { line: "key show --config node.yaml --json", does: "the same for a program" },
  ],
  async keys(files) {
    const { ensureKey, readKey } = await import("../control/underlay/key-file.ts");
    return { publicKey: ensureKey(files.current), nextPublicKey: readKey(files.next) ?? null };
  },
});
