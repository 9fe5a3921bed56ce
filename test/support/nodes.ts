// Nodes that answer the probes of an engine, each over a path of its own.
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import type { Node } from "../../src/model/tables.ts";
import type { EngineFixture } from "./engine-fixture.ts";
import { corrupt } from "./packet-builder.ts";
import { endpointText } from "./reference/tables.ts";

/** A running worker looks at the nodes no more often. */
export const LOOK_MS = 50;

interface Path {
  /** Of a probe and its answer; undefined = nothing arrives. */
  rttMs: number | undefined;
  /** Longest datagram that arrives; others are lost without a word. */
  size: number;
}

export class AnsweringNodes {
  /** Lengths of the probes to each node, as they were sent. */
  readonly sent: { readonly atMs: number; readonly node: string; readonly length: number }[] = [];
  /** Whether they take over the ECN field of outer headers; older versions know nothing of that. */
  takeEcn = false;
  /** How often a worker would have looked at them, or taken answers. */
  wakeUps = 0;
  private lookedMs = Number.NEGATIVE_INFINITY;
  private readonly paths = new Map<string, Path>();
  private replies: { readonly dueMs: number; readonly from: Node["underlay"]; readonly bytes: Uint8Array }[] = [];

  constructor(
    private readonly fixture: EngineFixture,
    private readonly nodes: readonly Node[],
  ) {
    for (const { id } of nodes) this.paths.set(id, { rttMs: 1, size: 65_507 });
  }

  path(node: Node): Path {
    return this.paths.get(node.id) as Path;
  }

  /** Lets time pass, in which nodes are probed and answer. */
  run(milliseconds: number): void {
    const endMs = this.fixture.nowMs + milliseconds;
    while (this.fixture.nowMs < endMs) {
      if (this.fixture.nowMs >= this.lookDueMs()) this.look();
      const nextMs = Math.min(endMs, this.lookDueMs(), ...this.replies.map(({ dueMs }) => dueMs));
      this.fixture.advance(Math.max(0, nextMs - this.fixture.nowMs));
      this.deliver();
    }
  }

  /** When the engine wants the nodes to be looked at. */
  private lookDueMs(): number {
    const pauseMs = this.fixture.io.view.getUint32(HeaderLayout.AT + HeaderLayout.PROBE_PAUSE_MS, true);
    return this.lookedMs + Math.max(LOOK_MS, pauseMs);
  }

  /** One look of the worker at the nodes. */
  look(): void {
    this.wakeUps += 1;
    this.lookedMs = this.fixture.nowMs;
    for (const { endpoint, bytes } of this.fixture.probe().datagrams) {
      const node = this.nodes.find(({ underlay }) => endpointText(underlay.address, underlay.port) === endpoint);
      if (node === undefined) continue;
      this.sent.push({ atMs: this.fixture.nowMs, node: node.id, length: bytes.length });
      const { rttMs, size } = this.path(node);
      if (rttMs === undefined || bytes.length > size) continue;
      const answer = corrupt(bytes.slice(0, ProbeLayout.SIZE), ProbeLayout.TYPE_AT, ProbeLayout.REPLY);
      const reply = this.takeEcn ? corrupt(answer, ProbeLayout.ABILITIES_AT, ProbeLayout.TAKES_ECN) : answer;
      this.replies.push({ dueMs: this.fixture.nowMs + rttMs, from: node.underlay, bytes: reply });
    }
  }

  private deliver(): void {
    const due = this.replies.filter(({ dueMs }) => dueMs <= this.fixture.nowMs);
    this.replies = this.replies.filter((reply) => !due.includes(reply));
    if (due.length === 0) return;
    this.wakeUps += 1;
    this.fixture.ingress(...due.map(({ from, bytes }) => ({ ...from, bytes })));
  }
}
