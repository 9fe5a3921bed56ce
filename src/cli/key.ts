// `sapwood key ...`: the key of a node in the encrypted underlay, in its files and in a running proxy.

import type { KeyFiles } from "../control/underlay/key-file.ts";
import type { KeyReport } from "../model/reports.ts";
import type { Command, CommandExample } from "./command.ts";
import { CONFIG_OPTION, configFile } from "./config-file.ts";
import { orDash } from "./format.ts";
import { JSON_OPTION, orderCommand, printReport, queryCommand } from "./query-command.ts";

export const keyStatusCommand: Command = queryCommand<KeyReport>({
  name: "key status",
  summary: "show the key that a running proxy uses, and its WireGuard interface",
  examples: [{ line: "key status", does: "public key, address inside, interface and port" }],
  path: () => "/v1/key",
  render: (report) => keyReportText(report),
});

/** Makes the key if there is none. */
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

/** The key in force stays until `sapwood key activate`. */
export const keyNextCommand: Command = keyCommand({
  name: "key next",
  summary: "make the key that is to replace this node's key; it is not used before `key activate`",
  examples: [{ line: "key next", does: "what goes into nextPublicKey in the other nodes' files" }],
  async keys(files) {
    const { ensureKey } = await import("../control/underlay/key-file.ts");
    return { publicKey: ensureKey(files.current), nextPublicKey: ensureKey(files.next) };
  },
});

export const keyActivateCommand: Command = orderCommand<KeyReport>({
  name: "key activate",
  summary: "use the next key from now on; the other nodes must have it as nextPublicKey",
  examples: [{ line: "key activate", does: "connections go on; the key before is gone" }],
  path: () => "/v1/key/activate",
  render: (report) => keyReportText(report),
});

interface KeyFileReport {
  readonly publicKey: string;
  readonly nextPublicKey: string | null;
}

/** A command that reads and makes the key files of a node. */
function keyCommand(description: {
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

async function keyReportText({ publicKey, nextPublicKey, ...rest }: KeyReport): Promise<string> {
  const { renderFields } = await import("../base/text-table.ts");
  const { address, device, port, backend } = rest;
  return renderFields([
    ["public key", publicKey],
    ["next public key", orDash(nextPublicKey, String)],
    ["address inside", address],
    ["interface", `${device} (${backend}), UDP port ${port}`],
  ]);
}
