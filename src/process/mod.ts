/**
 * Lesson 11: programs, started and ended. `nodeWorkerHost()` is the real host with them.
 *
 *     spawn ─▶ processes.ts ─▶ pool.ts ─▶ launcher.ts ─▶ the job, a process group of its own
 *                                                         │ ends, with all that it started:
 *                                                         ▼ sweep.ts, reaper.ts
 *
 *     processes.ts              which way a program is started
 *     pool.ts · launcher.ts     the stock of warm shells, and one of them
 *     child.ts · pipes.ts       what a job is given: its group, its environment, its output
 *     marks.ts                  what the shells say, between the bytes of the jobs
 *     sweep.ts · reaper.ts      what ends a job's leftovers, also when this process is killed
 *     folder.ts · journal.ts    which groups this process has, written down for the next one
 *     orphans.ts                what ends the groups of a dead worker (lesson 12)
 *     node-process.ts           a Node process that runs calls
 *     command.ts                a program that is run for what it says (lesson 13)
 *
 * Invariant: no process outlives its attempt, not even when the worker is killed with -9.
 * Left out: Windows, which has neither process groups nor signals.
 * Test: test/11-worker.processes.test.ts, test/11-worker.launchers.test.ts
 */
export { nodeWorkerHost, nodeProcesses } from "./processes.ts";
export {
  startNodeProcess, type NodeEnd, type NodeProcess, type NodeProcessOptions,
} from "./node-process.ts";
export { runCommand, type RunningCommand } from "./command.ts";
export { MarkReader, markText, type MarkHandlers } from "./marks.ts";
export { removalsDone, takeProcessFolder } from "./folder.ts";
