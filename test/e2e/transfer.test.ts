// Many bytes through two nodes and the tunnel between them arrive as they were sent. A gigabyte: test/long.
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { TWO_NODES } from "../support/topologies.ts";
import { itTransfers } from "../support/transfers.ts";

describeLab("32 MiB over TCP through two nodes", () => {
  itTransfers(
    "arrive with the same SHA-256",
    useLab(() => openLab(TWO_NODES)),
    2 ** 25,
  );
});

describeLab("workloads whose MTU is larger than the tunnel's", () => {
  itTransfers(
    "learn the path's MTU",
    useLab(() => openLab({ ...TWO_NODES, workloadMtu: 1500, underlayMtu: 1400 })),
    2 ** 24,
  );
});
