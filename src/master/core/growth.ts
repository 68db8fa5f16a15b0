/**
 * Lesson 10: what jobs must be that are added to a run which goes on: by a person or a program
 * (AddJobs), or by one of its own jobs (Spawn, lesson 18).
 *
 * Invariants: all of them are added, or none; whatever is added, the graph has no cycle, also with
 * the jobs in it that wait for others while they are paused.
 * Test: test/10-master.insert.test.ts, test/18-agents.spawn.test.ts
 */
import { Dag, DagError, type DagNode } from "#dag";
import { isOpenRun, type Before, type JobSpec } from "#wire";
import { isPaused } from "./agent-state.ts";
import { checkJobs, checkRequirements } from "./check.ts";
import { checkInputs } from "./check-files.ts";
import { checkServices } from "./check-service.ts";
import { admitJobs } from "./decide-budget.ts";
import type { Decided, Effect } from "./effect.ts";
import type { Edge, Event } from "./events.ts";
import { edgesMemory, jobsMemory } from "./memory.ts";
import { Refusal, type Context } from "./refusal.ts";
import { checkRoom, makeRoom } from "./room.ts";
import type { Run, State } from "./state.ts";

/** New jobs. Their parents are numbers of the run's jobs, themselves included. */
export interface Addition {
  readonly jobs: readonly JobSpec[];
  readonly before?: readonly Before[];
  /** What they take in memory, if somebody has weighed them already. */
  readonly jobBytes?: number;
  /** Beside the jobs. */
  readonly moreBytes?: number;
  readonly doing: string;
}

/** Edges to jobs that the run has already, and what makes room for all of it. */
export interface Growth {
  readonly edges: Edge[];
  /** About the budget of its agent run. */
  readonly news: Event[];
  readonly room: Decided<undefined>;
}

/** @throws {Refusal} */
export function checkGrowth(
  state: State, run: Run, addition: Addition, context: Context,
): Growth {
  const { jobs, before = [], jobBytes = jobsMemory(jobs), moreBytes = 0, doing } = addition;
  if (!isOpenRun(run.status) || run.cancelling) {
    const status = run.cancelling ? "being cancelled" : run.status;
    throw new Refusal("CONFLICT", `Cannot ${doing}: it is ${status}`);
  }
  const from = run.jobs.length;
  const bytes = jobBytes + edgesMemory(before.length) + moreBytes;
  checkRoom(state, { runs: 0, bytes, doing }, context);
  checkJobs(jobs, { from, doing }, context);
  const ids = new Set<string>();
  for (const [offset, job] of jobs.entries()) {
    if (run.dag.indexOf(job.id) !== undefined || ids.has(job.id)) {
      throw new Refusal("INVALID", `Cannot ${doing}: it has a job "${job.id}" already`);
    }
    ids.add(job.id);
    // Only backwards: then the order of the list is a topological order, and only `before` could
    // close a cycle.
    if (job.dependsOn.some((parent) => parent >= from + offset)) {
      const found = `"${job.id}" depends on a job that comes later in the list`;
      throw new Refusal("INVALID", `Cannot ${doing}: ${found}`);
    }
  }
  checkInputs({
    count: from + jobs.length,
    spec: (index) => run.jobs[index]?.spec ?? jobs[index - from]!,
    parents: (index) => {
      const known = run.jobs[index];
      return known === undefined ? jobs[index - from]!.dependsOn : run.parentsOf(known);
    },
  }, { from, doing });
  checkRequirements(state, jobs);
  checkServices(state, jobs, { already: run.services.size, doing });
  const news = admitJobs(run, jobs.length, { doing, now: context.now });
  return { edges: newEdges(run, addition), news, room: makeRoom(state, bytes, context) };
}

/** What follows when the run has grown by this event. */
export function grown(
  { room, news }: Growth, run: Run, added: Event,
): { events: Event[]; effects: Effect[] } {
  return {
    events: [...room.events, added, ...news],
    effects: [...room.effects, { type: "Notify", run: run.number }],
  };
}

/** Edges from new jobs to older ones. A job that has started cannot wait any more. */
function newEdges(run: Run, { jobs, before = [], doing }: Addition): Edge[] {
  if (before.length === 0) return [];
  const parents = run.jobs.map(({ index }) => run.dag.parents(index));
  for (const { dependsOn } of jobs) parents.push([...dependsOn]);
  for (const { job, child: index } of before) {
    const [added, child] = [jobs[job], run.jobs[index]];
    if (added === undefined || child === undefined) {
      const found = `new job ${job} of ${jobs.length} before job ${index} of ${run.jobs.length}`;
      throw new Refusal("INVALID", `Cannot ${doing}: there is no ${found}`);
    }
    if (child.status !== "PENDING" || child.attempt > 0) {
      const why = child.attempt > 0 ? "has already started" : `is ${child.status}`;
      const { id } = child.spec;
      throw new Refusal("CONFLICT", `Cannot add job ${added.id} before ${id}: ${id} ${why}`);
    }
    parents[index]!.push(run.jobs.length + job);
  }
  addWaits(run, parents);
  const ids = [...run.jobs.map(({ spec }) => spec.id), ...jobs.map(({ id }) => id)];
  checkCycle(ids.map((id, index) => ({ id, parents: parents[index]! })), doing);
  return before.map(({ job, child }) => ({ parent: run.jobs.length + job, child }));
}

/**
 * A paused job that waits for jobs and for nothing else waits as a child does. One that has another
 * thing to wait for is woken by that.
 */
function addWaits(run: Run, parents: number[][]): void {
  for (const job of run.jobs) {
    if (!isPaused(job)) continue;
    const [wait, ...others] = job.agent!.waits;
    if (wait?.type === "jobs" && others.length === 0) parents[job.index]!.push(...wait.jobs);
  }
}

/** Builds the graph as it would be: the one in the state is not to be touched. */
function checkCycle(nodes: readonly DagNode[], doing: string): void {
  try {
    Dag.build(nodes);
  } catch (error) {
    if (!(error instanceof DagError)) throw error;
    throw new Refusal("INVALID", error.message.replace("build graph", doing));
  }
}
