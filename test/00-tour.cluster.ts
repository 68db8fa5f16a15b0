/** The tour's own cluster: its programs and its test start the same processes in the same way. */
export * from "../lessons/00-tour/cluster.ts";
