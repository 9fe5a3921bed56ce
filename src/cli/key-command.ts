// What the commands share that read and make the key files of a node.

import type { KeyFiles } from "../control/underlay/key-file.ts";
import type { Command, CommandExample } from "./command.ts";
import { CONFIG_OPTION, configFile } from "./config-file.ts";
import { orDash } from "./format.ts";
import { JSON_OPTION, printReport } from "./query-command.ts";

interface KeyFileReport {
  readonly publicKey: string;
  readonly nextPublicKey: string | null;
}

export function keyCommand(description: {
  readonly name: string;
  readonly summary: string;
  readonly examples: readonly CommandExample[];
  keys(files: KeyFiles): Promise<KeyFileReport>;
}): Command {
  const { name, summary, examples, keys } = description;
  return {
    name,
    group: "Encrypt the underlay",
    summary,
    options: [CONFIG_OPTION, JSON_OPTION],
    examples,
    async run(input, terminal) {
      const [{ loadStateDirectory }, { keyFiles }] = await Promise.all([
        import("../control/config/config.ts"),
        import("../control/underlay/key-file.ts"),
      ]);
      const report = await keys(keyFiles(loadStateDirectory(configFile(input.optionalText("config")))));
      await printReport(report, input, terminal, keyText);
    },
  };
}

async function keyText({ publicKey, nextPublicKey }: KeyFileReport): Promise<string> {
  const [{ renderFields }, { tunnelAddressOf }] = await Promise.all([
    import("../base/text-table.ts"),
    import("../net/wireguard-key.ts"),
  ]);
  return renderFields([
    ["public key", publicKey],
    ["next public key", orDash(nextPublicKey, String)],
    ["address inside", tunnelAddressOf(publicKey)],
  ]);
}
