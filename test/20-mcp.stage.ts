/** The stage of lesson 20, for its tests: a real master and the server, in virtual time. */
export * from "../lessons/20-mcp/stage.ts";
