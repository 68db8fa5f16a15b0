/**
 * Lesson 10: the language between Titan's processes: one table of opcodes, one schema per message.
 *
 *    client ── HELLO SUBMIT WATCH LOGS CANCEL … ──▶ master
 *                                                   master ◀── HELLO OUTPUT FINISHED BEAT ── worker
 *                                                   master ── DISPATCH KILL ──▶ worker
 *
 *     opcodes.ts                  the table of opcodes
 *     messages.ts                 what every connection says first, and what every job costs
 *     submission.ts · rows.ts     what people change, and what they look at
 *     pipeline.ts                 how a pipeline travels and is kept
 *     fields.ts                   fields that messages of all kinds have
 *     blobs.ts                    files by their hash
 *     pools.ts                    pools of workers (lesson 13)
 *     service.ts                  services: how they travel, and how they are (lesson 14);
 *     service-rows.ts             requests about them, and their rows
 *     worker-rows.ts              workers, and what lives on them
 *     gate.ts                     gates: the question, its form, an answer (lesson 16)
 *     agent.ts                    what a job asks of its master: steps (lesson 18)
 *     credential.ts               the credential of a job, and what it is made of (lesson 18)
 *     budget.ts · agent-rows.ts   what an agent run may spend and has spent; rows (lesson 18)
 *     waits.ts                    what a job asks for while it runs: jobs, answers, a pause
 *     facts.ts                    the log as it grows, and the rows that it has changed;
 *     metrics.ts · history.ts     what a master measures; and what its log says of the past
 *     forward.ts                  connections to services, through the master (lesson 14)
 *     artifact.ts                 files that runs hand on, or that live by a name (lesson 11)
 *     limits.ts                   limits that both ends must agree on
 *     address.ts · read.ts        the address of a master; helpers for readers of answers
 *     exit-codes.ts               the exit codes of programs
 *
 * A *request* has exactly one reply (or a stream of them). A *notice* is one-way. The two messages
 * that every job costs carry many jobs each: DISPATCH is a notice, FINISHED a request, because a
 * worker keeps its reports until the master has them on disk.
 *
 * Invariants: a field number is never reused; a field added later is `optional` or `withDefault`,
 * so that yesterday's peers read today's messages (lesson 02).
 * Left out: JSON. It travels only inside `input` and `result`, which belong to the job's author and
 * are opaque bytes here.
 * Test: test/10-master.test.ts
 */
export { EXIT } from "./exit-codes.ts";
export * from "./limits.ts";
export * from "./agent.ts";
export * from "./credential.ts";
export * from "./gate.ts";
export * from "./budget.ts";
export * from "./service.ts";
export * from "./forward.ts";
export * from "./artifact.ts";
export * from "./pipeline.ts";
export * from "./opcodes.ts";
export * from "./messages.ts";
export * from "./submission.ts";
export * from "./rows.ts";
export * from "./agent-rows.ts";
export * from "./service-rows.ts";
export * from "./worker-rows.ts";
export * from "./waits.ts";
export * from "./pools.ts";
export * from "./facts.ts";
export * from "./metrics.ts";
export * from "./history.ts";
export * from "./blobs.ts";
export { isBlank, isConnectionError, readAddress, storeUrl, whyUnreached } from "./address.ts";
export { droppedChunk, isAtGate, isOpenRun, isTerminal, jobCounts, resultValue } from "./read.ts";
