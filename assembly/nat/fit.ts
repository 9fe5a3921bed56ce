// How large a packet may be on its way (RFC 1191, RFC 8201; RFC 7915 sections 4 and 5).

import * as Header from "../record/header.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import { pathMtu } from "../table/node.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";

/**
 * The largest packet that goes on to `node`, u32.MAX_VALUE = any. A packet that `grew` has become IPv6 and has to fit
 * the links to the workload as well; they are taken to be as those of this node. If it may be cut (`mayCut`), its
 * sender would not be told, so that it gets the size that every link takes (RFC 7915 section 4).
 */
export function largestTo(node: u32, grew: bool, mayCut: bool): u32 {
  const mtu = node == NodeLayout.LOCAL ? u32.MAX_VALUE : pathMtu(node);
  if (!grew) return mtu;
  return min(mtu, mayCut ? IPV6_MTU_MIN : tunMtu());
}

function tunMtu(): u32 {
  const mtu = Header.tunMtu.value;
  return mtu == 0 ? u32.MAX_VALUE : mtu;
}
