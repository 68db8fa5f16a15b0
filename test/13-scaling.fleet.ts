/** The stage that the lesson's programs play on: what it shows them holds here, too. */
export * from "../lessons/13-scaling/fleet.ts";
