// What a sandbox's owner and its first process say to each other over the Node IPC channel.

/** Owner to first process. `id` names a program, chosen by the owner. */
export type SandboxOrder =
  | { readonly kind: "start"; readonly id: number; readonly argv: readonly string[] }
  | { readonly kind: "input"; readonly id: number; readonly text: string; readonly isLast: boolean }
  | { readonly kind: "signal"; readonly id: number; readonly signal: NodeJS.Signals }
  | { readonly kind: "write"; readonly path: string; readonly text: string; readonly mode: number };

/** First process to owner. */
export type Report =
  | { readonly kind: "ready"; readonly hostPid: number }
  | {
      readonly kind: "refused";
      readonly code: "missing-rights" | "missing-tool" | "tun-unavailable";
      readonly message: string;
    }
  | { readonly kind: "output"; readonly id: number; readonly stream: "stdout" | "stderr"; readonly text: string }
  | {
      readonly kind: "ended";
      readonly id: number;
      readonly code: number | null;
      readonly signal: NodeJS.Signals | null;
    };
