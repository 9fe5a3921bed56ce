// Where a node's tunnel is: a sockaddr_in6, and what the node's packets may be like, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  ENDPOINT_ACCEPTS,
  SOCKADDR_ADDRESS,
  SOCKADDR_FAMILY,
  SOCKADDR_PORT,
  SOCKADDR_SCOPE,
} from "../shared/layout.ts";

@unmanaged
export class Endpoint {
  family: u16;
  port: u16;
  private gap0: u32;
  private gap1: u64;
  private gap2: u64;
  scope: u32;
  accepts: u32;

  @inline
  static at(address: usize): Endpoint {
    return changetype<Endpoint>(address);
  }

  /** In one access: the first half of the address. */
  @inline
  get addressUpper(): u64 {
    return load<u64>(changetype<usize>(this), SOCKADDR_ADDRESS);
  }

  /** It is aligned to 8 bytes only, so it can be no field. */
  @inline
  get address(): v128 {
    return v128.load(changetype<usize>(this), SOCKADDR_ADDRESS);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkEndpoint(): void {
  if (offsetof<Endpoint>("family") != SOCKADDR_FAMILY) ERROR("Endpoint.family is not at SOCKADDR_FAMILY");
  if (offsetof<Endpoint>("port") != SOCKADDR_PORT) ERROR("Endpoint.port is not at SOCKADDR_PORT");
  if (offsetof<Endpoint>("scope") != SOCKADDR_SCOPE) ERROR("Endpoint.scope is not at SOCKADDR_SCOPE");
  if (offsetof<Endpoint>("accepts") != ENDPOINT_ACCEPTS) ERROR("Endpoint.accepts is not at ENDPOINT_ACCEPTS");
}
