// Datagrams from a namespace in somebody else's name, and how many answers come back.
import { fileURLToPath } from "node:url";
import type { Sandbox } from "../../src/lab/sandbox.ts";

const PROGRAM = fileURLToPath(new URL("../e2e/in-workload/spoof.mjs", import.meta.url));

interface Spoofed {
  /** Where they are sent from, with an address that the namespace has. */
  readonly namespace: string;
  readonly from: readonly [address: string, port: number];
  readonly to: readonly [address: string, port: number];
  /** Payloads in hex. */
  readonly datagrams: readonly string[];
}

/**
 * Sends them all, and listens for answers until `areSeen` settles: when the receiver has come to what was sent, an
 * answer is on its way back or there is none.
 */
export async function spoof(
  sandbox: Sandbox,
  { namespace, from, to, datagrams }: Spoofed,
  areSeen: () => Promise<unknown>,
): Promise<{ readonly sent: number; readonly answers: number }> {
  const argv = [process.execPath, PROGRAM, ...from.map(String), ...to.map(String)];
  const program = sandbox.start(argv, namespace);
  program.endInput(datagrams.map((hex) => `${hex === "" ? "-" : hex}\n`).join(""));
  await program.until("all datagrams to be sent", ({ stdout }) => stdout.includes("sent\n"));
  await areSeen();
  const { stdout } = await program.stop();
  return JSON.parse(stdout.slice(stdout.indexOf("{")));
}
