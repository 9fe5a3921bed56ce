// Thirty policies and thirty engines are put in force one after the other while packets flow.
import { describeSwaps } from "../support/swaps.ts";

describeSwaps(30);
