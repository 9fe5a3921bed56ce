// Proxies are killed under load and start again: no connection that was there before is lost or led elsewhere, busy or
// idle, and new ones open. test/long/killed-proxies.test.ts does so thirty times.
import { describeKills } from "../support/killed-proxies.ts";

describeKills("proxies that are killed under load", 1);
