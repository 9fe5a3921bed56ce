// `sapwood completion`: what makes a shell complete commands and options, written from the descriptions of the
// commands.

import type { Command } from "./command.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

/** `commands` are all there are, this one included. */
export function completionCommand(commands: () => Promise<readonly Command[]>): Command {
  return {
    name: "completion",
    group: "Try it",
    summary: "print what makes a shell complete commands and options",
    arguments: [{ name: "shell", summary: SHELLS.join(", ") }],
    options: [],
    examples: [
      { line: "completion bash > /etc/bash_completion.d/sapwood", does: "for all users of bash" },
      { line: "completion zsh > ~/.sapwood.zsh", does: 'with "source ~/.sapwood.zsh" in ~/.zshrc' },
      { line: "completion fish > ~/.config/fish/completions/sapwood.fish", does: "for one user of fish" },
    ],
    async run(input, terminal) {
      const asked = input.argument(0);
      const shell = SHELLS.find((known) => known === asked);
      if (shell === undefined) {
        const { SapwoodError } = await import("../base/errors.ts");
        throw new SapwoodError("usage", `The shell must be one of ${SHELLS.join(", ")}; found "${asked}".`);
      }
      terminal.print(completionText(shell, await commands()));
    },
  };
}

function completionText(shell: Shell, commands: readonly Command[]): string {
  if (shell === "fish") return fishText(commands);
  const bash = bashText(commands);
  return shell === "bash" ? bash : zshText(bash);
}

/** To be sourced, or a file _sapwood in a folder of $fpath: then compinit makes it a function, which completes at once. */
function zshText(bash: string): string {
  return [
    "#compdef sapwood",
    "autoload -U +X bashcompinit && bashcompinit",
    bash.trimEnd(),
    'if [ "$funcstack[1]" = _sapwood ]; then _bash_complete -F _sapwood; fi',
    "",
  ].join("\n");
}

/** First words of all commands, with what follows each. */
function wordsOf(commands: readonly Command[]): ReadonlyMap<string, readonly string[]> {
  const words = new Map<string, string[]>();
  for (const { name } of commands) {
    const [first = "", second] = name.split(" ");
    words.set(first, [...(words.get(first) ?? []), ...(second === undefined ? [] : [second])]);
  }
  return words;
}

/** "-s, --socket <path>" -> "--socket". */
function longFlags({ options }: Command): string[] {
  return [...options.flatMap(({ flags }) => flags.match(/--[\w-]+/g) ?? []), "--help"];
}

function bashText(commands: readonly Command[]): string {
  const words = wordsOf(commands);
  const seconds = [...words].filter(([, second]) => second.length > 0);
  return [
    "_sapwood() {",
    `  local current="\${COMP_WORDS[COMP_CWORD]}" first="\${COMP_WORDS[1]}" words=""`,
    `  local command="$first"`,
    `  case "$first" in ${seconds.map(([first]) => first).join("|")}) command="$first \${COMP_WORDS[2]}" ;; esac`,
    `  if [ "$COMP_CWORD" -eq 1 ]; then words="${[...words.keys(), "help"].join(" ")}"`,
    ...seconds.map(
      ([first, second]) =>
        `  elif [ "$COMP_CWORD" -eq 2 ] && [ "$first" = ${first} ]; then words="${second.join(" ")}"`,
    ),
    `  else case "$command" in`,
    ...commands.map((command) => `    "${command.name}") words="${longFlags(command).join(" ")}" ;;`),
    "    esac",
    "  fi",
    `  COMPREPLY=($(compgen -W "$words" -- "$current"))`,
    `  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))`,
    "}",
    "complete -F _sapwood sapwood",
    "",
  ].join("\n");
}

function fishText(commands: readonly Command[]): string {
  const words = wordsOf(commands);
  const lines = commands.flatMap((command) => {
    const [first = "", second] = command.name.split(" ");
    const isFirst = second === undefined || words.get(first)?.[0] === second;
    const begin = "__fish_use_subcommand";
    const below = `__fish_seen_subcommand_from ${first}`;
    const within = second === undefined ? below : `${below}; and __fish_seen_subcommand_from ${second}`;
    const summary = second === undefined ? command.summary : "";
    return [
      ...(isFirst ? [`complete -c sapwood -n ${begin} -a ${first} -d ${quoted(summary)}`] : []),
      ...(second === undefined ? [] : [`complete -c sapwood -n '${below}' -a ${second} -d ${quoted(command.summary)}`]),
      ...longFlags(command).map((flag) => `complete -c sapwood -n '${within}' -l ${flag.slice(2)}`),
    ];
  });
  return `${lines.join("\n")}\n`;
}

/** For fish, in single quotes. */
function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
