// Many bytes through two nodes and the tunnel between them arrive as they were sent. A gigabyte: test/long.
import { DEMO } from "../../src/lab/topology.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { itTransfers } from "../support/transfers.ts";

describeLab("128 MiB over TCP through two nodes", () => {
  itTransfers(
    "arrive with the same SHA-256",
    useLab(() => openLab(DEMO)),
    2 ** 27,
  );
});

describeLab("workloads whose MTU is larger than the tunnel's", () => {
  itTransfers(
    "learn the path's MTU",
    useLab(() => openLab({ ...DEMO, workloadMtu: 1500, underlayMtu: 1400 })),
    2 ** 24,
  );
});
