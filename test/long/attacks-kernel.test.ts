// What others can make a node's kernel do for them, over an IPv6 underlay. Over IPv4: test/e2e/attacks-kernel.test.ts.
import { describeKernelAttacks } from "../support/kernel-attacks.ts";

describeKernelAttacks("v6");
