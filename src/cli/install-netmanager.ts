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
    const { written, kept } = installation.install();
    for (const path of written) terminal.print(`${path} written\n`);
    for (const { path, as } of kept) terminal.print(`${as} is what ${path} was before\n`);
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

/** False also when there is nobody to ask, or who is there goes without a word. */
async function isConfirmed(paths: readonly string[]): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  process.stderr.write(`Keep ${paths.join(" and ")} as *.before-sapwood and write anew? [y/N] `);
  const answer = await firstLine(process.stdin);
  if (answer === undefined) process.stderr.write("\n"); // what follows has a line of its own
  return /^y(?:es)?$/i.test(answer?.trim() ?? "");
}

/** The terminal edits the line itself, and its Ctrl-C ends this process as any other. */
async function firstLine(input: NodeJS.ReadStream): Promise<string | undefined> {
  const { createInterface } = await import("node:readline");
  try {
    for await (const line of createInterface({ input, terminal: false })) return line;
  } catch {
    // The terminal is gone (EIO), and nobody has answered.
  } finally {
    input.unref(); // nothing more is waited for
  }
  return undefined;
}
