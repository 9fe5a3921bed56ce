// Switches offloads while packets flow. Promises: nothing is lost by it. The engine stops to use an offload before the
// kernel is told to, and begins after it; what the kernel joined before waits in its queues and is handled as it comes.

import { SapwoodError } from "../../base/errors.ts";
import { allowOffloads, forgetGsoRefusals } from "../../memory/offloads.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { OffloadState, SwitchableOffload, SwitchedOff } from "../../sys/offload.ts";
import type { Tun } from "../../sys/tun.ts";
import type { UdpSocket } from "../../sys/udp-socket.ts";

/** The part of the kernel with which an offload is agreed on. */
export type OffloadHolder = Pick<Tun | UdpSocket, "offloads" | "settleOffloads">;

interface OffloadSwitchOptions {
  readonly shared: SharedMemory;
  readonly tun: OffloadHolder;
  /** One per worker. */
  readonly sockets: readonly OffloadHolder[];
  /** What was switched off when the devices were opened. */
  readonly switchedOff: SwitchedOff;
}

const BY_COMMAND = "switched off by `sapwood offload`";

export class OffloadSwitch {
  readonly #shared: SharedMemory;
  readonly #holders: readonly OffloadHolder[];
  #switchedOff: SwitchedOff;
  #hasGroEnded = false;

  /** Lets the engine use what was agreed on when the devices were opened. */
  constructor({ shared, tun, sockets, switchedOff }: OffloadSwitchOptions) {
    this.#shared = shared;
    this.#holders = [tun, ...sockets];
    this.#switchedOff = switchedOff;
    this.#allow(this.states);
  }

  /** Every offload once: in force only where all sockets have it. */
  get states(): readonly OffloadState[] {
    const found = new Map<string, OffloadState>();
    for (const state of this.#holders.flatMap((holder) => holder.offloads)) {
      if (found.get(state.name)?.on !== false) found.set(state.name, state);
    }
    return [...found.values()];
  }

  /** Lasts until the proxy ends. Throws offload-refused when the kernel does not take part; then it stays off. */
  set(name: SwitchableOffload, isOn: boolean): void {
    if (isOn) {
      if (name === "udp-gso") forgetGsoRefusals(this.#shared);
      const { [name]: _, ...others } = this.#switchedOff;
      this.#switchedOff = others;
    } else {
      this.#switchedOff = { ...this.#switchedOff, [name]: BY_COMMAND };
      if (name === "udp-gro" && this.#isInForce(name)) this.#hasGroEnded = true;
      this.#allow(this.states.map((state) => (state.name === name ? { ...state, on: false } : state)));
    }
    for (const holder of this.#holders) holder.settleOffloads(this.#switchedOff);
    if (this.#isInForce("udp-gro")) this.#hasGroEnded = false;
    this.#allow(this.states);
    const reached = this.states.find((state) => state.name === name);
    if (isOn && reached?.on !== true) {
      throw new SapwoodError("offload-refused", `The offload ${name} stays off: ${reached?.reason ?? "unknown"}.`);
    }
  }

  #isInForce(name: SwitchableOffload): boolean {
    return this.states.some((state) => state.name === name && state.on);
  }

  #allow(states: readonly OffloadState[]): void {
    allowOffloads(this.#shared, states, this.#hasGroEnded);
  }
}
