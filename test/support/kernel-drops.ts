// What the kernel may lose of datagrams although the proxies lose none: a test that counts datagrams allows for it.
import { receiveBufferErrors } from "../../bench/path/drops.ts";
import type { Lab } from "../../src/lab/lab.ts";
import { UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";

/** A message of several datagrams (UDP_SEGMENT) is one packet of the kernel, and one drop (UDP_MAX_SEGMENTS, linux/udp.h). */
const DATAGRAMS_PER_DROP = 64;

/** Of a link that `ip -json -stats link show` lists. */
interface LinkStatistics {
  readonly stats64: { readonly tx: { readonly dropped: number } };
}

/**
 * Datagrams, at most, for which queues of the kernel had no room since the lab was made: those of the workloads' and the
 * proxies' sockets, of the devices, and of the processors. All labs of a machine share the last ones
 * (netdev_max_backlog); the veth that sent a packet counts it.
 */
export async function kernelDropsMost(lab: Lab): Promise<number> {
  const { nodes, workloads } = lab.topology;
  const namespaces = [UNDERLAY_NAMESPACE, ...nodes.map(({ id }) => id), ...workloads.map(({ name }) => name)];
  const counts = namespaces.map(async (namespace) => {
    const protocols = await lab.sandbox.expect(["cat", "/proc/net/snmp", "/proc/net/snmp6"], namespace);
    const links: LinkStatistics[] = JSON.parse(
      await lab.sandbox.expect(["ip", "-json", "-stats", "link", "show"], namespace),
    );
    return links.reduce((sum, { stats64 }) => sum + stats64.tx.dropped, receiveBufferErrors(protocols));
  });
  return DATAGRAMS_PER_DROP * (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}
