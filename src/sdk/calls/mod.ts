/**
 * Lesson 10: a session with a master, and the requests that are a question and its answer.
 *
 *     open-session.ts      chooses a master, and opens a session with it
 *     session.ts           a session, and how to have the next one
 *     caller.ts            a session that asks: all that `titan runs` needs
 *     run-calls.ts         questions and wishes about runs; cluster-calls.ts about the rest;
 *     artifact-calls.ts    files that runs hand on, or that live by name
 *     options.ts           checks of arguments that no type checker has seen
 *
 * Why apart from `#sdk`, whose `Client` is such a session, too? A client reads pipelines, packs
 * folders and forwards connections. Node takes a millisecond for a module, and those are ninety: a
 * command that prints a list would spend a third of its time on them.
 *
 * Test: test/sdk.test.ts, test/10-master.test.ts
 */
export { openCalls, REQUEST_DEADLINE_MS } from "./caller.ts";
export { ConnectError, readDial, type ConnectOptions } from "./open-session.ts";
export type { OnRequest, Redial, Session } from "./session.ts";
export { RunCalls, type AddedJob, type RunStatusReport } from "./run-calls.ts";
export type { AgentReport } from "./cluster-calls.ts";
export type { ArtifactName } from "./artifact-calls.ts";
export { checkMs, named } from "./options.ts";
