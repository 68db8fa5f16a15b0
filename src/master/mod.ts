/**
 * Lesson 10: the master, as a process: sockets in, log out, and the core in between.
 *
 *     frame ─▶ command ─▶ decide ─▶ events ─▶ apply      (memory, at once)
 *                            │         └────▶ log.append
 *                            │                   └─ durable
 *                            └─▶ effects, reply ─────┴─▶ replies, dispatches, kills, news
 *
 * Each answer waits for the fsync of everything that happened before it. One fsync serves all that
 * arrived meanwhile (lesson 05), so the price is one wait per message and not one disk write per
 * job.
 *
 * Files:
 *     master.ts       a master from its start to its end; errors.ts why it does not start
 *     engine.ts       the loop: decide, apply, append, and effects in order (core/ decides);
 *         engine-options.ts     what it needs; recover.ts the state as the log has it
 *     snapshots.ts    the whole state as bytes, for the log or for a hash, in slices
 *     session.ts      one connection, from HELLO to its end
 *     handlers.ts     what each request does: decode, ask the engine, encode the answer
 *         handlers-reads.ts     those that change nothing; answer-error.ts errors as answers
 *         handlers-agent.ts     what jobs ask with their own credentials (lesson 18)
 *     agents.ts       requests about agent runs; lists.ts lists, page by page
 *     job-handlers.ts the same for what a job asks about itself
 *     services.ts     what the parts of a running master share
 *     scope.ts        what a job may ask with its own credential; secret.ts what that is made from
 *     workers.ts      the connections of workers: assignments out, reports in, who is given up
 *     assignment.ts   one attempt as its worker gets it
 *     fleet.ts        classes that wait, workers and launches, for those who start and end workers
 *     autoscaler.ts   the loop that does: how many workers there are, by lesson 13
 *     notices.ts      people are told that a gate is open
 *     submit.ts       a submission, and the blobs that it names; uploads.ts how they come
 *     blobs.ts        content by its hash; blob-file.ts content that is still coming
 *     artifacts.ts    requests about artifacts; artifact-uploads.ts artifacts on their way
 *     intake.ts       jobs as they arrive, weighed while they are decoded
 *     watch.ts        people who watch a run
 *     facts.ts        those who follow the whole log; past.ts what they have missed;
 *         handlers-facts.ts     how they ask, and the rows that have changed;
 *         meter.ts              how long things take
 *     past-desk.ts    those who look back, and who answers them; handlers-past.ts how they ask
 *     output.ts       what jobs print, a file per attempt; holes.ts the output that was lost
 *         output-records.ts     what is in a file
 *         output-reached.ts     where readers have come to
 *         output-segments.ts    the files of a service, whose output has no end
 *     forward.ts      connections to services that pass through the master
 *     kv.ts           commands for the store that pass through the master
 *     doors.ts        who may come in: places for clients, for workers and for strangers
 *     first-byte.ts   peers of version 1, which somebody else serves
 *     limits.ts       what all peers together may take: bytes, places, descriptors
 *     turns.ts        long answers wait here for room and for their turn; pages.ts cuts them
 *     removals.ts     files that nobody can name any more, removed in the background
 *     counts.ts       how many of each thing a master holds at this moment
 *
 * Invariants: no effect before its events are durable; replay runs no effect; one master per state
 * folder.
 * Left out: a second master that takes over. The log is what a later chapter replicates.
 * Test: test/10-master.test.ts
 */
export { descriptorsOf, MIN_DESCRIPTORS, placesFor, type Places } from "./limits.ts";
export type { MasterStore } from "./kv.ts";
export { startMaster, type Master, type MasterOptions } from "./master.ts";
export { Autoscaler, RETURN_MS, StartError, STOP_TRIES, type Driver } from "./autoscaler.ts";
export type { Fleet, Hands, SeenFleet, SeenWorker } from "./fleet.ts";
export type { OnOlderPeer } from "./first-byte.ts";
export type { GateMessage, Messenger } from "./notices.ts";
export type { PastQuestion, PastReader } from "./past-desk.ts";
export { MasterError } from "./errors.ts";
