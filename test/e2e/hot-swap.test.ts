// Modules are swapped under load, and nobody notices. A hundred of each kind: test/long.
import { describeSwaps } from "../support/swaps.ts";

describeSwaps(15);
