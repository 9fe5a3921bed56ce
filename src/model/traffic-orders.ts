// What `sapwood top` can ask for; known to the command before it loads anything.

export const TRAFFIC_BY = ["service", "instance"] as const;
export const TRAFFIC_SORTS = ["packets", "flows", "name"] as const;
