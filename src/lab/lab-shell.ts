// Shells in a lab that is kept: a program in the sandbox enters a node or a workload by its name, with `sapwood` in the
// path, the socket of that node's proxy in the environment, and in the prompt where one is.

import { builtFile } from "./build-paths.ts";
import { controlSocket, instanceName, type Lab } from "./lab.ts";
import { namespaceFile, Sandbox } from "./sandbox.ts";
import type { Topology } from "./topology.ts";

const FOLDER = "/run/sapwood";
const ENTER = `${FOLDER}/enter`;
const PROMPT_FILE = `${FOLDER}/bashrc`;
const PROGRAMS = `${FOLDER}/bin`;

interface Place {
  readonly name: string;
  readonly node: string;
  readonly what: string; // for the prompt
}

/** Workloads first: what one calls from is there. */
function placesOf(topology: Topology): Place[] {
  return [
    ...topology.workloads.map(({ name, node }) => {
      return { name, node, what: `${instanceName(topology, name)}, workload on ${node}` };
    }),
    ...topology.nodes.map(({ id }) => ({ name: id, node: id, what: "node" })),
  ];
}

/** Writes the programs into the sandbox; the text says how to enter, from a shell of the same user. */
export function prepareShells({ sandbox, topology }: Lab): string {
  const places = placesOf(topology);
  sandbox.writeProgram(`${PROGRAMS}/sapwood`, sapwoodProgram());
  sandbox.writeProgram(ENTER, enterProgram(places));
  sandbox.writeFile(
    PROMPT_FILE,
    '[ ! -f ~/.bashrc ] || . ~/.bashrc\nunset PROMPT_COMMAND\nPS1="$LAB_PLACE \\w \\\\$ "\n',
  );

  const enter = ["nsenter", "--target", String(sandbox.hostPid)];
  if (Sandbox.needsUserNamespace) enter.push("--user", "--preserve-credentials");
  const prefix = [...enter, "--mount", "--", ENTER].join(" ");
  return [
    "\nThe lab stays up. Enter a workload or a node:\n",
    ...places.map(({ name }) => `  ${prefix} ${name}\n`),
    "\nThere, `sapwood` asks the proxy of that node, for example:\n",
    "  sapwood flows\n",
    "In a1, call the service:\n",
    "  curl 'http://[fdff:2000::1]/'\n",
    "\nCtrl-C ends the lab and removes everything.\n",
  ].join("");
}

/** It need not be installed. */
function sapwoodProgram(): string {
  return `#!/bin/sh\nexec '${process.execPath}' '${builtFile("src/main.js")}' "$@"\n`;
}

function enterProgram(places: readonly Place[]): string {
  const names = places.map(({ name }) => name).join(", ");
  const cases = places.map(({ name, node, what }) => {
    return `${name}) socket=${controlSocket(node)} LAB_PLACE='${name} (${what})' ;;\n`;
  });
  return [
    "#!/bin/sh\n",
    "# enter NAME [COMMAND...]: a shell, or a command, in a workload or a node of the lab.\n",
    'name=$1\ncase "$name" in\n',
    ...cases,
    `*) echo "enter: expected one of ${names}; found \\"$name\\"" >&2; exit 2 ;;\n`,
    "esac\nshift\n",
    `PATH="${PROGRAMS}:$PATH:/usr/sbin:/sbin" SAPWOOD_SOCKET=$socket\n`,
    "export PATH SAPWOOD_SOCKET LAB_PLACE\n",
    `[ $# -gt 0 ] || set -- bash --rcfile ${PROMPT_FILE} -i\n`,
    `exec nsenter --net="${namespaceFile("$name")}" "$@"\n`,
  ].join("");
}
