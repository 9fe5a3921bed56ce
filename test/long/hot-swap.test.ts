// More policies and engines than in test/e2e are put in force one after the other while packets flow.
import { sized } from "../support/size.ts";
import { describeSwaps } from "../support/swaps.ts";

describeSwaps(sized(12, 100));
