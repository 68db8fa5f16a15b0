/**
 * Lesson 10: the master, as a process: sockets in, log out, and the core in between.
 *
 *     frame ─▶ command ─▶ decide ─▶ events ─▶ apply      (memory, at once)
 *                                      └────▶ log.append
 *                                               └─ durable ─▶ effects: replies, dispatches, kills, news
 *
 * Whatever leaves this process waits for the fsync of everything that happened before it. One fsync serves all that
 * arrived meanwhile (lesson 05), so the price is one wait per message and not one disk write per job.
 *
 * Invariants: no effect before its events are durable; replay runs no effect; one master per state folder.
 * Left out: a second master that takes over. The log is what a later chapter replicates.
 * Test: test/10-master.test.ts
 */
export { descriptorsOf, MIN_DESCRIPTORS, placesFor, type Places } from "./limits.ts";
export { startMaster, type Master, type MasterOptions, type MasterStore } from "./master.ts";
export { MasterError } from "./errors.ts";
