// A hundred policies and a hundred engines are put in force one after the other while packets flow.
import { describeSwaps } from "../support/swaps.ts";

describeSwaps(100);
