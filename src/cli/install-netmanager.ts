// `sapwood install-netmanager` and `sapwood uninstall-netmanager`: what starts sapwood in the place of NetManager.

import type { Command, CommandOption } from "./command.ts";

const ROOT_OPTION: CommandOption = {
  flags: "--root <folder>",
  summary: "folder that stands for /, of an image that is being made, say",
  default: { value: () => "/", text: "/" },
};

export const installNetmanagerCommand: Command = {
  name: "install-netmanager",
  group: "Run a proxy",
  summary: "write /bin/NetManager and its systemd unit, so that a worker node of Oakestra starts sapwood",
  options: [ROOT_OPTION, { flags: "-y, --yes", summary: "keep what is there, beside it, without asking" }],
  examples: [{ line: "install-netmanager", does: "then: systemctl daemon-reload; systemctl restart netmanager" }],
  async run(input, terminal) {
    const [{ NetmanagerInstallation }, { SapwoodError }] = await Promise.all([
      import("../node/netmanager-installation.ts"),
      import("../base/errors.ts"),
    ]);
    const installation = new NetmanagerInstallation(input.text("root"));
    const foreign = installation.foreign();
    if (foreign.length > 0 && !input.flag("yes") && !(await isConfirmed(foreign))) {
      const message = `${foreign.join(" and ")} would have to make place: say so at the terminal, or with --yes.`;
      throw new SapwoodError("usage", message);
    }
    for (const path of installation.install()) terminal.print(`${path} written\n`);
    for (const path of foreign) terminal.print(`${path}.before-sapwood is what was there\n`);
  },
};

export const uninstallNetmanagerCommand: Command = {
  name: "uninstall-netmanager",
  group: "Run a proxy",
  summary: "remove what install-netmanager wrote, and put back what was there before",
  options: [ROOT_OPTION],
  examples: [{ line: "uninstall-netmanager", does: "then: systemctl daemon-reload; systemctl restart netmanager" }],
  async run(input, terminal) {
    const { NetmanagerInstallation } = await import("../node/netmanager-installation.ts");
    const changed = new NetmanagerInstallation(input.text("root")).uninstall();
    if (changed.length === 0) terminal.print("Nothing of sapwood's is installed there.\n");
    for (const path of changed) terminal.print(`${path} is as it was before\n`);
  },
};

/** False also when there is nobody to ask. */
async function isConfirmed(paths: readonly string[]): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const { createInterface } = await import("node:readline/promises");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`Keep ${paths.join(" and ")} as *.before-sapwood and write anew? [y/N] `);
    return /^y(?:es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
