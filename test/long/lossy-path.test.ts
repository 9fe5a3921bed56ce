// Transfers in both directions at once over an underlay that loses and reorders datagrams: TCP slows down at each loss.
import { sized } from "../support/size.ts";
import { describeLossyPath } from "../support/transfers.ts";

for (const queues of [1, 4]) describeLossyPath(queues, sized(2 ** 26, 2 ** 28));
