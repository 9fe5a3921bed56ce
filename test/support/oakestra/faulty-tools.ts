// Tools of the node's network that fail at one step of the set-up or removal of a container or a unikernel. A step is a line
// of `ip -batch`, a namespace that `ip` adds or deletes, a transaction of `nft` or `iptables-restore`, or a script of `sh`.
// What a daemon does beside its containers is left alone.
import type { Sandbox } from "../../../src/lab/sandbox.ts";

const FOLDER = "/run/faults";
/** By which steps of containers are known. */
const MARK = "veth0\\|sapwood_netmanager\\|OAKESTRA\\|instance\\|tap0\\|ip_forward";

/** before: nothing of the step is done. after: it is done, but fails. lasting: so do all that follow. */
export const FAULTS = ["before", "after", "lasting"] as const;
export type Fault = (typeof FAULTS)[number];

export class FaultyTools {
  readonly #sandbox: Sandbox;

  private constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  static async make(sandbox: Sandbox, tools: readonly string[]): Promise<FaultyTools> {
    for (const tool of tools) {
      const path = (await sandbox.expect(["sh", "-c", `command -v ${tool}`])).trim();
      sandbox.writeProgram(`${FOLDER}/${tool}`, program(tool, path));
    }
    const made = new FaultyTools(sandbox);
    await made.repair();
    return made;
  }

  /** The variable of the environment with which a program meets the faults. */
  async path(): Promise<string> {
    return `PATH=${FOLDER}:${await this.#sandbox.expect(["sh", "-c", "printf %s $PATH"])}`;
  }

  /** From now on steps are counted, and none fails. */
  watch(): Promise<void> {
    return this.failAt(0, "before");
  }

  /** From now on steps are counted anew, from 1. */
  async failAt(step: number, fault: Fault): Promise<void> {
    const words = `echo 0 > ${FOLDER}/count; echo ${step} > ${FOLDER}/at; echo ${fault} > ${FOLDER}/fault`;
    await this.#sandbox.expect(["sh", "-c", words]);
  }

  /** The tools as they are, which is faster. */
  async repair(): Promise<void> {
    await this.#sandbox.expect(["rm", "-f", `${FOLDER}/count`]);
  }

  /** Steps since the last `watch` or `failAt`. */
  async count(): Promise<number> {
    return Number(await this.#sandbox.expect(["cat", `${FOLDER}/count`]));
  }
}

function program(tool: string, path: string): string {
  return `#!/bin/sh
[ -e ${FOLDER}/count ] || exec ${path} "$@"
input=${FOLDER}/input.$$
case " $* " in
  *" -batch "*|*" -f "*|*" --noflush "*|" -e ") cat > $input ;;
  *" netns add "*|*" netns delete "*) echo "$*" > $input ;;
  *) exec ${path} "$@" ;;
esac
trap 'rm -f $input' EXIT
if ! grep -q '${MARK}' $input; then ${path} "$@" < $input; exit; fi
steps=${tool === "ip" ? "$(wc -l < $input)" : "1"}
before=$(cat ${FOLDER}/count)
echo $((before + steps)) > ${FOLDER}/count
at=$(($(cat ${FOLDER}/at) - before))
fault=$(cat ${FOLDER}/fault)
if [ $((at + before)) = 0 ] || [ $at -gt $steps ] || { [ $at -lt 1 ] && [ $fault != lasting ]; }
then ${path} "$@" < $input; exit; fi
[ $at -ge 1 ] || at=1
done=$at
[ $fault = after ] || done=$((at - 1))
[ $done = 0 ] || head -n ${tool === "ip" ? "$done" : "-0"} $input | ${path} "$@" || exit
echo "a fault of the test" >&2
echo "Command failed -:$at" >&2
exit 1
`;
}
