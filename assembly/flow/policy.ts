// What the engine asks of the host. AssemblyScript names the module of an import after the file that declares it, so
// this one is `policy.choose` (src/dataplane/modules/engine-contract.ts).

/** Asks the policy module of the service record for the index of a candidate; -1 or out of range = it has no answer. */
export declare function choose(serviceAt: usize, flowHash: u32, clientHash: u32): i32;
