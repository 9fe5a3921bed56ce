// Tools of the node's network that fail at one step of the set-up or removal of a container or a unikernel. A step is a line
// of `ip -batch`, a namespace that `ip` adds or deletes, a transaction of `nft` or `iptables-restore`, or a script of `sh`.
// What a daemon does beside its containers is left alone.
import type { Sandbox } from "../../../src/lab/sandbox.ts";

const FOLDER = "/run/faults";
/** By which steps of containers are known. */
const MARK = "*veth0*|*sapwood_netmanager*|*OAKESTRA*|*instance*|*tap0*|*ip_forward*";

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
    const words = `echo 0 > ${FOLDER}/count; : > ${FOLDER}/steps; echo ${step} > ${FOLDER}/at; echo ${fault} > ${FOLDER}/fault`;
    await this.#sandbox.expect(["sh", "-c", words]);
  }

  /** The tools as they are, which is faster. One that runs just now may write its count after this. */
  async repair(): Promise<void> {
    await this.#sandbox.expect(["sh", "-c", `echo 0 > ${FOLDER}/at; rm -f ${FOLDER}/count`]);
  }

  /** Steps since the last `watch` or `failAt`. */
  async count(): Promise<number> {
    return Number(await this.#sandbox.expect(["cat", `${FOLDER}/count`]));
  }

  /** What they were, in the order in which they began. */
  steps(): Promise<string> {
    return this.#sandbox.expect(["cat", `${FOLDER}/steps`]);
  }
}

/** The shell does nearly all of it by itself: a process for each word of it would take most of a test's time. */
function program(tool: string, path: string): string {
  return `#!/bin/sh
read -r before 2>/dev/null < ${FOLDER}/count || exec ${path} "$@"
case " $* " in
  *" -batch "*|*" -f "*|*" --noflush "*|*" -e "*) input=$(cat) ;;
  *" netns add "*|*" netns delete "*) input=$* ;;
  *) exec ${path} "$@" ;;
esac
feed() { text=$1; shift; printf '%s\\n' "$text" | ${path} "$@"; }
case $input in ${MARK}) ;; *) feed "$input" "$@"; exit ;; esac
read -r at < ${FOLDER}/at
read -r fault < ${FOLDER}/fault
fails() { [ $at != 0 ] && { [ $1 = $at ] || { [ $1 -gt $at ] && [ $fault = lasting ]; }; }; }
step=$before some= failed=
take() {
  step=$((step + 1))
  printf '%s\\n' "$1" >> ${FOLDER}/steps
  [ -z "$failed" ] || return
  if fails $step; then
    failed=$((step - before))
    [ $fault = after ] || return
  fi
  some="$some$1
"
}
${tool === "ip" ? 'while IFS= read -r line; do take "$line"; done <<END\n$input\nEND' : 'take "$input"'}
echo $step > ${FOLDER}/count
[ -z "$some" ] || feed "$some" "$@" || exit
[ -n "$failed" ] || exit 0
echo "a fault of the test" >&2
echo "Command failed -:$failed" >&2
exit 1
`;
}
