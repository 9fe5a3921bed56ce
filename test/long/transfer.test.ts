// A gigabyte through two nodes and the tunnel between them arrives as it was sent.
import { DEMO } from "../../src/lab/topology.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { itTransfers } from "../support/transfers.ts";

describeLab("1 GiB over TCP through two nodes", () => {
  itTransfers(
    "arrives with the same SHA-256",
    useLab(() => openLab(DEMO)),
    2 ** 30,
  );
});
