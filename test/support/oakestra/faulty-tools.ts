// Tools of the node's network that fail at one step of a registration, or of the set-up or removal of a container or a
// unikernel. A step is a line of `ip -batch`, a namespace that `ip` adds or deletes, a transaction of `nft` or
// `iptables-restore`, a look at the rules that are there, or a script of `sh`. What a daemon does beside these is left
// alone; so are the rules that guard the tunnel, which a proxy puts back whenever it finds them changed, unless they are
// made as well.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Sandbox } from "../../../src/lab/sandbox.ts";

/** What a firewall is told and asked with. */
export const FIREWALL_TOOLS = {
  nftables: ["nft"],
  iptables: ["iptables", "iptables-restore", "ip6tables", "ip6tables-restore"],
} as const;
/** By which steps are known. The node's own filter is looked at as a table. */
const MARK =
  "*goProxyBridge*|*veth0*|*sapwood_netmanager*|*OAKESTRA*|*instance*|*tap0*|*ip_forward*|*' -S'*|*'list chain'*";

/** The proxy's own rules. */
const GUARD = "*'table inet sapwood-goProxyTun'*";

/** before: nothing of the step is done. after: it is done, but fails. lasting: so do all that follow. */
export const FAULTS = ["before", "after", "lasting"] as const;
export type Fault = (typeof FAULTS)[number];

export class FaultyTools {
  readonly #sandbox: Sandbox;
  readonly #folder: string;

  private constructor(sandbox: Sandbox, folder: string) {
    this.#sandbox = sandbox;
    this.#folder = folder;
  }

  /** Those of one node, with the tools of its firewall. */
  static async make(
    sandbox: Sandbox,
    node: string,
    firewall: keyof typeof FIREWALL_TOOLS,
    guard: "kept" | "made" = "kept",
  ): Promise<FaultyTools> {
    const made = new FaultyTools(sandbox, `/run/faults/${node}`);
    for (const tool of ["ip", "sh", ...FIREWALL_TOOLS[firewall]]) {
      const path = (await sandbox.expect(["sh", "-c", `command -v ${tool}`])).trim();
      sandbox.writeProgram(`${made.#folder}/${tool}`, program(tool, path, made.#folder, guard === "kept"));
    }
    made.repair();
    return made;
  }

  /** The variable of the environment with which a program meets the faults. */
  async path(): Promise<string> {
    return `PATH=${this.#folder}:${await this.#sandbox.expect(["sh", "-c", "printf %s $PATH"])}`;
  }

  /** From now on steps are counted, and none fails. */
  watch(): void {
    this.failAt(0, "before");
  }

  /** From now on steps are counted anew, from 1. */
  failAt(step: number, fault: Fault): void {
    for (const [name, text] of Object.entries({ at: `${step}\n`, fault: `${fault}\n`, steps: "", count: "0\n" })) {
      writeFileSync(this.#file(name), text);
    }
  }

  /** The tools as they are, which is faster. One that runs just now may write its count after this. */
  repair(): void {
    writeFileSync(this.#file("at"), "0\n");
    rmSync(this.#file("count"), { force: true });
  }

  /** From now on each step waits, until the function is called that this returns. */
  hang(): () => void {
    this.watch();
    const file = this.#file("hang");
    writeFileSync(file, "");
    return () => rmSync(file, { force: true });
  }

  /** Steps since the last `watch` or `failAt`. */
  count(): number {
    return Number(readFileSync(this.#file("count"), "utf8"));
  }

  /** What they were, in the order in which they began. */
  steps(): string {
    return readFileSync(this.#file("steps"), "utf8");
  }

  /** As this process has it: a program for each change would take most of a test's time. */
  #file(name: string): string {
    return this.#sandbox.pathFromOutside(`${this.#folder}/${name}`);
  }
}

/** The shell does nearly all of it by itself: a process for each word of it would take most of a test's time. */
function program(tool: string, path: string, folder: string, leavesGuard: boolean): string {
  return `#!/bin/sh
read -r before 2>/dev/null < ${folder}/count || exec ${path} "$@"
case " $* " in
  *" -batch "*|*" -f "*|*" --noflush "*|*" -e "*) input=$(cat) ;;
  *" netns add "*|*" netns delete "*|*" -S "*|*" list chain"*) input=$* ;;
  *) exec ${path} "$@" ;;
esac
feed() { text=$1; shift; printf '%s\\n' "$text" | ${path} "$@"; }
${leavesGuard ? `case $input in ${GUARD}) feed "$input" "$@"; exit ;; esac` : ""}
case $input in ${MARK}) ;; *) feed "$input" "$@"; exit ;; esac
while [ -e ${folder}/hang ]; do sleep 0.1; done
read -r at < ${folder}/at
read -r fault < ${folder}/fault
fails() { [ $at != 0 ] && { [ $1 = $at ] || { [ $1 -gt $at ] && [ $fault = lasting ]; }; }; }
step=$before some= failed=
take() {
  step=$((step + 1))
  printf '%s\\n' "$1" >> ${folder}/steps
  [ -z "$failed" ] || return
  if fails $step; then
    failed=$((step - before))
    [ $fault = after ] || return
  fi
  some="$some$1
"
}
${tool === "ip" ? 'while IFS= read -r line; do take "$line"; done <<END\n$input\nEND' : 'take "$input"'}
echo $step > ${folder}/count
[ -z "$some" ] || feed "$some" "$@" || exit
[ -n "$failed" ] || exit 0
echo "a fault of the test" >&2
echo "Command failed -:$failed" >&2
exit 1
`;
}
