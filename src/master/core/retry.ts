/**
 * Lesson 10: what a person's retry runs again, and what it refuses.
 *
 *     what did not complete ─┐
 *     a job that is named ───┴──▶ and all that comes after it ──▶ RunRetried
 *
 * Invariants: a job that would be skipped again for the same reason is refused, or left as it is.
 * Test: test/10-master.test.ts
 */
import { isOpenRun, isTerminal } from "#wire";
import { checkRequirements } from "./check.ts";
import type { CommandOf } from "./command.ts";
import { NO_EFFECTS, type DecidedOn } from "./effect.ts";
import type { Event } from "./events.ts";
import { findJob, findRun } from "./find.ts";
import { hasFailed } from "./jobs.ts";
import { Refusal, type Context } from "./refusal.ts";
import { checkRoom } from "./room.ts";
import { isMet, isServing } from "./service-state.ts";
import { type Job, type Run, type State } from "./state.ts";
import { heirOf } from "./versions.ts";

const NONE: ReadonlySet<Job> = new Set();

/** Another chance: for all that did not complete, or for one job and everything after it. */
export function decideRetry(
  state: State, request: CommandOf<"Retry">, context: Context,
): DecidedOn<"Retry"> {
  const run = findRun(state, request.run);
  const doing = `retry ${run.id}`;
  if (run.cancelling) throw new Refusal("CONFLICT", `Cannot ${doing}: it is still being cancelled`);
  const heir = heirOf(state, run);
  if (heir !== undefined) {
    const found = `its service "${heir.name}" is ${heir.heir.id} by now`;
    const advice = `titan rollback ${heir.name} goes back`;
    throw new Refusal("CONFLICT", `Cannot ${doing}: ${found} (${advice})`);
  }
  const first = request.from === undefined ? incomplete(run) : [endedJob(run, request.from)];
  // All that came after them as well: a report about a failure is out of date once it
  // is tried again.
  const chosen = run.dag.downstream(first.map((job) => job.index)).map((index) => run.jobs[index]!);
  const busy = chosen.find((job) => job.status === "RUNNING" || job.status === "WAITING");
  if (busy !== undefined) {
    throw new Refusal("CONFLICT", `Cannot ${doing}: job "${busy.spec.id}" is ${busy.status}`);
  }
  const jobs = chosen
    .filter((job) => isTerminal(job.status) || job.order > 0 || job.dueAt > 0)
    .map((job) => job.index);
  if (first.length === 0) {
    const advice = "name a job with --from to run it again";
    throw new Refusal("CONFLICT", `Cannot ${doing}: nothing in it has failed (${advice})`);
  }
  // Its requirements were not counted while it was over, and others may have taken their places.
  if (!isOpenRun(run.status)) {
    checkRoom(state, { runs: 1, bytes: run.bytes, doing }, context);
    checkRequirements(state, run.jobs.map((job) => job.spec));
  }
  const what = { run: run.number, at: context.now };
  // First: the steps of jobs that this very retry starts are asked for after it.
  const accepted: Event[] = request.acceptChanged === true && run.steps > 0
    ? [{ type: "ChangesAccepted", ...what }]
    : [];
  return {
    events: [...accepted, { type: "RunRetried", ...what, jobs }],
    effects: NO_EFFECTS,
    reply: { jobs: jobs.length },
  };
}

/** All that did not complete and could run now. A job that would be skipped again stays so. */
function incomplete(run: Run): Job[] {
  return [...runnable(run, (job) => isTerminal(job.status) && job.status !== "COMPLETED")];
}

/** Those of the chosen jobs that could run if all of them were opened again. */
function runnable(run: Run, isChosen: (job: Job) => boolean): Set<Job> {
  const again = new Set<Job>();
  // Parents before children: a child has another chance if its parent has.
  for (const index of run.dag.topologicalOrder()) {
    const job = run.jobs[index]!;
    if (isChosen(job) && obstacle(job, again) === undefined) again.add(job);
  }
  return again;
}

/** The job that a retry begins with: it has ended, and would not be skipped at once. */
function endedJob(run: Run, id: string): Job {
  const job = findJob(run, id);
  const doing = `Cannot retry ${run.id} from "${id}"`;
  if (!isTerminal(job.status)) {
    throw new Refusal("CONFLICT", `${doing}: the job is ${job.status} and has not ended`);
  }
  let parent = obstacle(job, NONE);
  if (parent === undefined) return job;
  if (parent === job) {
    const why = "it waits for a failure (when: failure) and no parent has failed";
    throw new Refusal("CONFLICT", `${doing}: it would be skipped, because ${why}`);
  }
  const why = `its parent "${parent.spec.id}" is ${parent.status}`;
  // The retry must begin where the trouble began.
  for (let next = obstacle(parent, NONE); next !== undefined && next !== parent;) {
    parent = next;
    next = obstacle(parent, NONE);
  }
  const advice = adviceFor(job, parent);
  throw new Refusal("CONFLICT", `${doing}: it would be skipped, because ${why}${advice}`);
}

/** What makes `job` run, if something does: its other parents may have failed, too. */
function adviceFor(job: Job, root: Job): string {
  const { run } = job;
  const below = new Set(run.dag.downstream([root.index]));
  if (runnable(run, ({ index }) => below.has(index)).has(job)) {
    return ` (--from ${root.spec.id} runs both)`;
  }
  return incomplete(run).includes(job) ? " (without --from, all that did not complete runs)" : "";
}

/**
 * A parent that keeps a job from running, although all that is open and all of `again` may yet
 * complete; the job itself if it wants a failure and there is none. Undefined: it may run.
 */
function obstacle(job: Job, again: ReadonlySet<Job>): Job | undefined {
  const { run, spec } = job;
  if (spec.when === "always") return undefined;
  let [open, failed] = [false, false];
  let unfinished: Job | undefined;
  run.dag.forEachParent(job.index, (index) => {
    const parent = run.jobs[index]!;
    if (again.has(parent) || !(isTerminal(parent.status) || isServing(parent))) open = true;
    else if (!isMet(parent)) unfinished ??= parent;
    if (hasFailed(parent)) failed = true;
  });
  if (spec.when === "success") return unfinished;
  return open || failed ? undefined : job;
}
