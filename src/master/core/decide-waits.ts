/**
 * Lesson 18: what becomes of a job's wish to be ended and started again later.
 *
 *     met already      no event: the program goes on
 *     met never        refused: what it waits for waits for it
 *     else             WaitAsked, and at the end of the attempt JobPaused (decide-attempts.ts)
 *
 * The attempt that is lost after its wish and before its end is lost as any other: the next one
 * starts at once, comes to the same place and asks again. To believe the wish would save one start
 * in a rare case, and would leave a job waiting whose program may have done more meanwhile.
 *
 * Invariants: a job that waits is woken by something that can happen; the slot is free while it
 * waits.
 * Test: test/18-agents.waits.test.ts
 */
import { MAX_WAIT_JOBS, type Wait, type WaitWish } from "#wire";
import { agentOf, askOf, isMetWait, isOver } from "./agent-state.ts";
import { MAX_WAIT_MS } from "./check.ts";
import type { CommandOf } from "./command.ts";
import { NO_EFFECTS, onlyReply, type DecidedOn } from "./effect.ts";
import { fenced } from "./fence.ts";
import { Refusal, type Context } from "./refusal.ts";
import { checkRoom } from "./room.ts";
import type { Job, State } from "./state.ts";

const DOING = "wait";

// #region wait
export function decideWait(
  state: State, { by, waits: wishes }: CommandOf<"Wait">, context: Context,
): DecidedOn<"Wait"> {
  const job = fenced(state, by, DOING);
  const at = context.now;
  if (wishes.length === 0) throw refuse("INVALID", "there is nothing to wait for");
  const waits = wishes.map((wish) => asWait(job, wish, at));
  const met = [...waits.keys()].filter((index) => isMetWait(job, waits[index]!, at));
  if (met.length > 0) return onlyReply({ met });
  checkSize(state, waits, context);
  for (const wait of waits) if (wait.type === "jobs") checkDeadlock(job, wait.jobs);
  const { run, index, attempt } = job;
  return {
    events: [{ type: "WaitAsked", run: run.number, job: index, attempt, at, waits }],
    effects: NO_EFFECTS,
    reply: { met: [] },
  };
}
// #endregion

function refuse(code: Refusal["code"], found: string): Refusal {
  return new Refusal(code, `Cannot ${DOING}: ${found}`);
}

function asWait(job: Job, wish: WaitWish, now: number): Wait {
  const { run, spec } = job;
  if (wish.type === "jobs") {
    const jobs = wish.jobs.map((id) => {
      const index = run.dag.indexOf(id);
      if (index === undefined) throw refuse("NOT_FOUND", `there is no job "${id}" in ${run.id}`);
      return index;
    });
    return { type: "jobs", jobs };
  }
  if (wish.type === "ask" && askOf(job, wish.key) === undefined) {
    throw refuse("NOT_FOUND", `${run.id}/${spec.id} has asked nothing under key "${wish.key}"`);
  }
  if (wish.type === "budget" && run.group === undefined) {
    throw refuse("CONFLICT", `${run.id} has no budget to wait for`);
  }
  if (wish.type === "time" && wish.at > now + MAX_WAIT_MS) {
    throw refuse("INVALID", `${wish.at - now} ms are more than ${MAX_WAIT_MS}`);
  }
  return wish;
}

/** Waits are kept as long as the job is paused, and are in the log. */
function checkSize(state: State, waits: readonly Wait[], context: Context): void {
  const jobs = waits.reduce((sum, wait) => sum + (wait.type === "jobs" ? wait.jobs.length : 0), 0);
  if (jobs > MAX_WAIT_JOBS) throw refuse("LIMIT", `${jobs} jobs are more than ${MAX_WAIT_JOBS}`);
  checkRoom(state, { runs: 0, bytes: WAIT_BYTES * (waits.length + jobs), doing: DOING }, context);
}

/** More than one entry, or one job in it, takes. */
const WAIT_BYTES = 256;

// #region deadlock
/**
 * Jobs that will not end before `waiter` goes on: itself, what has it among its parents, and what
 * is paused and waits for such jobs alone. Looked for from below: the open ancestors of what is
 * waited for, and as a rule those are few.
 */
function checkDeadlock(waiter: Job, jobs: readonly number[]): void {
  const { run } = waiter;
  const seen = new Set<number>();
  for (const target of jobs) {
    const work = [target];
    for (let index = work.pop(); index !== undefined; index = work.pop()) {
      if (index === waiter.index) throw deadlock(waiter, run.jobs[target]!);
      const job = run.jobs[index]!;
      if (isOver(job) || seen.has(index)) continue;
      seen.add(index);
      run.dag.forEachParent(index, (parent) => void work.push(parent));
      const { waits } = agentOf(job);
      const [only] = waits;
      // One of several is enough for it to go on.
      if (waits.length === 1 && only!.type === "jobs") work.push(...only!.jobs);
    }
  }
}
// #endregion

function deadlock({ run, spec }: Job, target: Job): Refusal {
  const its = `${run.id}/${spec.id}`;
  const found = target.spec === spec
    ? `${its} would wait for itself`
    : `job "${target.spec.id}" waits for ${its}, so neither would go on`;
  return refuse("CONFLICT", found);
}
