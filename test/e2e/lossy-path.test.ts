// 16 MiB in each direction at once, over an underlay that loses and reorders datagrams. A gigabyte: test/long.
import { describeLossyPath } from "../support/transfers.ts";

describeLossyPath(4, 2 ** 24);
