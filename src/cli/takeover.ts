// The option by which a proxy takes over from one that runs.

import type { Takeover } from "../node/takeover/takeover.ts";
import type { CommandInput, CommandOption } from "./command.ts";

export const TAKEOVER_OPTION: CommandOption = {
  flags: "--takeover",
  summary: "take over from the proxy that runs at the control socket, which goes on if this one fails",
};

/** Undefined without the option. `configuredSocket` is asked where none is named. */
export async function beginTakeover(
  input: CommandInput,
  version: string,
  configuredSocket: () => Promise<string>,
): Promise<Takeover | undefined> {
  if (!input.flag("takeover")) return undefined;
  const { Takeover } = await import("../node/takeover/takeover.ts");
  return Takeover.begin(input.optionalText("socket") ?? (await configuredSocket()), version);
}
