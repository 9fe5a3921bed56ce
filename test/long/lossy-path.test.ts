// 256 MiB in each direction at once, over an underlay that loses and reorders datagrams: TCP slows down at each loss.
import { describeLossyPath } from "../support/transfers.ts";

for (const queues of [1, 4]) describeLossyPath(queues, 2 ** 28);
