// Modules are swapped under load, and nobody notices. More of each kind: test/long.
import { describeSwaps } from "../support/swaps.ts";

describeSwaps(6);
