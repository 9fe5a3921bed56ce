// Reads every packet that an interface of this network namespace sees, both ways, without its link header (packet(7)).
// Promises: receiving never waits; `close()` twice is harmless.

import * as Libc from "./libc.ts";

const AF_PACKET = 17;
const ETH_P_ALL = 3;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const RECEIVE_BUFFER_SIZE = 8 * 1024 * 1024;
const PACKET_MAX = 65_536; // a super-packet before segmentation is one packet here

// struct sockaddr_ll: u16 family, be16 protocol, i32 ifindex, u16 hatype, u8 pkttype, u8 halen, u8 addr[8]
const SOCKADDR_LL_SIZE = 20;
const SLL_PROTOCOL = 2;
const SLL_IFINDEX = 4;

export class PacketSocket {
  readonly fd: number;
  readonly #bytes = new Uint8Array(new ArrayBuffer(PACKET_MAX));
  readonly #at = Number(Libc.addressOf(this.#bytes.buffer));
  #isOpen = true;

  constructor(interfaceIndex: number) {
    // Protocol 0 receives nothing, so that no packet of another interface comes in before bind() has named this one.
    this.fd = Libc.expectSuccess(
      Libc.socket(AF_PACKET, Libc.SOCK_DGRAM | SOCK_NONBLOCK, 0),
      "Opening a packet socket",
      "missing-rights",
    );
    try {
      const size = new Uint8Array(new Uint32Array([RECEIVE_BUFFER_SIZE]).buffer);
      Libc.setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, size, size.byteLength); // else the default size has to do
      const address = new DataView(new ArrayBuffer(SOCKADDR_LL_SIZE));
      address.setUint16(0, AF_PACKET, true);
      address.setUint16(SLL_PROTOCOL, ETH_P_ALL);
      address.setInt32(SLL_IFINDEX, interfaceIndex, true);
      const bound = Libc.bindSocket(this.fd, new Uint8Array(address.buffer), SOCKADDR_LL_SIZE);
      Libc.expectSuccess(bound, `Binding a packet socket to interface ${interfaceIndex}`);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The next packet, valid until the next call; undefined when none is waiting. */
  receive(): Uint8Array | undefined {
    const size = Libc.read(this.fd, this.#at, PACKET_MAX);
    if (size === -Libc.EAGAIN) return undefined;
    return this.#bytes.subarray(0, Libc.expectSuccess(size, "Reading a packet socket"));
  }

  close(): void {
    if (this.#isOpen) Libc.close(this.fd);
    this.#isOpen = false;
  }
}
