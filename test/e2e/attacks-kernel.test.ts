// What others can make a node's kernel do for them, over an IPv4 underlay. Over IPv6: test/long/attacks-kernel.test.ts.
import { describeKernelAttacks } from "../support/kernel-attacks.ts";

describeKernelAttacks("v4");
