// Workers that race on one flow table, by one seed. By several: test/long/flow-storm.test.ts.
import { describeStorms } from "../support/flow-storms.ts";

describeStorms(1);
