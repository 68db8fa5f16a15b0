/**
 * Lesson 11: the worker: it dials the master, says what it can do, and runs what it is sent.
 *
 *     dial ─▶ HELLO ─▶ DISPATCH … ─▶ executor ─▶ OUTPUT … FINISHED ─▶ dial again when the line breaks
 *
 * One connection, always opened from this side: a worker needs no open port and works from behind a NAT.
 *
 * Invariants: a report is kept until the master has it on disk; an attempt's output is confirmed before its report is
 * sent; memory for output is bounded however much the jobs print and however slowly the master takes it.
 * Left out: running several masters' jobs at once.
 * Test: test/11-worker.test.ts
 */
export { startWorker, type Worker, type WorkerOptions, WorkerError } from "./worker.ts";
