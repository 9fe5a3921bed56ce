// 64 MiB in each direction at once, over an underlay that loses and reorders datagrams. A gigabyte: test/long.
import { describeLossyPath } from "../support/transfers.ts";

for (const queues of [1, 4]) describeLossyPath(queues, 2 ** 26);
