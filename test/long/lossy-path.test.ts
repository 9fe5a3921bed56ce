// A gigabyte in each direction at once, over an underlay that loses and reorders datagrams.
import { describeLossyPath } from "../support/transfers.ts";

for (const queues of [1, 4]) describeLossyPath(queues, 2 ** 30);
