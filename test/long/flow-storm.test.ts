// Workers that race on one flow table, by several seeds. By one: test/scenarios/flow-storm.test.ts.
import { describeStorms } from "../support/flow-storms.ts";

describeStorms(3);
