/**
 * Lesson 11: the worker: it dials the master, says what it can do, and runs what it is sent.
 *
 *     dial ─▶ HELLO ─▶ DISPATCH … ─▶ executor ─▶ OUTPUT … FINISHED ─▶ dial again after a break
 *
 *     worker.ts       from start to end: assignments in, reports out, what is running;
 *     types.ts        what it is told, and what its owner sees
 *     link.ts         the connection to the master: it breaks, and is made again
 *     output.ts       output on its way to the master, in batches, with back-pressure
 *     endpoints.ts    where a job finds its master and its store
 *     attempt.ts      an attempt, and its report
 *     projects.ts     folders of projects, kept between jobs
 *     files.ts        files that a job is given, and files that it hands on
 *     services.ts     services: their ports, and how they are (lesson 14)
 *     check.ts        one health check
 *     forward.ts      connections to services, over the connection to the master
 *     beats.ts        heartbeats; lateness.ts how late they left (lesson 12)
 *
 * One connection, always opened from this side: a worker needs no open port and works from behind a
 * NAT.
 *
 * Invariants: a report is kept until the master has it on disk; an attempt's output is confirmed
 * before its report is sent; memory for output is bounded, however much the jobs print and however
 * slowly the master takes it.
 * Left out: running several masters' jobs at once.
 * Test: test/11-worker.test.ts
 */
export { WorkerError, type Worker, type WorkerOptions } from "./types.ts";
export { startWorker } from "./worker.ts";
