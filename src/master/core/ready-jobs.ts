/**
 * Lesson 10: the jobs that could start this moment, by what they ask for: the queues of lesson 07,
 * and what the core does with them.
 *
 * Test: test/10-master.test.ts
 */
import { invariant } from "#base";
import { RequirementQueues } from "#queue";
import type { Job } from "./run.ts";

/** `LateReady` answers the same for those who look back (late-ready.ts). */
export type ReadyJobs = Pick<ReadyQueues, keyof ReadyQueues>;

export class ReadyQueues extends RequirementQueues<Job> {
  /** This job starts: it is the first one of its class. */
  start(key: string, job: Job): void {
    const first = this.pop(key);
    invariant(first === job, "the job that starts is the first of its queue");
  }

  /** Takes out those that want this worker. */
  takePinned(worker: number): Job[] {
    const taken: Job[] = [];
    for (const [key, queue] of [...this]) {
      if (queue.peek()?.pinned !== worker) continue;
      for (let job = this.pop(key); job !== undefined; job = this.pop(key)) taken.push(job);
    }
    return taken;
  }

  hasClasses(limit: number): boolean {
    return this.classes >= limit;
  }
}
