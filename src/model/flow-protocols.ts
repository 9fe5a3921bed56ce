// By what flows are selected; "other" stands for every protocol without ports.

export const FLOW_PROTOCOLS = ["tcp", "udp", "icmp", "other"] as const;

export type FlowProtocol = (typeof FLOW_PROTOCOLS)[number];
