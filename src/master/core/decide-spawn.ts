/**
 * Lesson 18: what becomes of a job's wish to add jobs to its own run.
 *
 *     (job, key) is new        all of them are added, by one event, or none
 *     …is known, same jobs     the jobs that are there: an earlier attempt has added them
 *     …is known, other jobs    refused: the program is another one than it was
 *
 * Invariants: what an attempt has added once is never added again, whichever attempt asks, before
 * or after a person's retry; a refusal adds nothing.
 * Test: test/18-agents.spawn.test.ts
 */
import { createHash } from "node:crypto";
import { plural } from "#base";
import {
  MAX_SPAWN_DEPTH, MAX_SPAWN_JOBS, MAX_SPAWNS, SpawnContent, type Before, type JobSpec,
} from "#wire";
import { agentOf, depthOf } from "./agent-state.ts";
import type { CommandOf } from "./command.ts";
import { onlyReply, type DecidedOn } from "./effect.ts";
import type { Event } from "./events.ts";
import { fenced } from "./fence.ts";
import { checkGrowth, grown } from "./growth.ts";
import { AGENT_BYTES, spawnMemory } from "./memory.ts";
import { Refusal, type Context } from "./refusal.ts";
import type { Job, Run, SpawnRecord, State } from "./state.ts";

// #region spawn
export function decideSpawn(
  state: State, wish: CommandOf<"Spawn">, context: Context,
): DecidedOn<"Spawn"> {
  const { by, key, stage } = wish;
  const doing = `add jobs under key "${key}"`;
  const job = fenced(state, by, doing);
  checkKey(key, doing);
  const digest = createHash("sha256").update(SpawnContent.encode(wish)).digest();
  const { run, index, attempt } = job;
  const known = agentOf(job).spawns.find((spawn) => spawn.key === key);
  if (known !== undefined) {
    if (!known.digest.equals(digest)) throw otherJobs(job, known, { wish, digest });
    return onlyReply({ from: known.from, jobs: known.count, existing: true });
  }
  checkSpawn(job, wish.jobs.length, doing);
  checkShape(job, wish.jobs.length, doing);
  const jobs = placed(run, wish, doing);
  const before = wish.before.map((edge): Before => {
    return { job: edge.job, child: indexOf(run, edge.child, doing) };
  });
  const moreBytes = AGENT_BYTES + spawnMemory(key, stage);
  const growth = checkGrowth(state, run, { jobs, before, moreBytes, doing }, context);
  const spawned: Event = {
    type: "JobsSpawned", run: run.number, job: index, attempt, at: context.now, key, digest, jobs,
    edges: growth.edges, stage,
  };
  const reply = { from: run.jobs.length, jobs: jobs.length, existing: false };
  return { ...grown(growth, run, spawned), reply };
}
// #endregion

/** Keys are part of names that people read and type. */
export function checkKey(key: string, doing: string): void {
  const wrong = key === "" ? "is empty" : /\p{Cc}/u.test(key) ? "has a control character" : "";
  if (wrong !== "") throw new Refusal("INVALID", `Cannot ${doing}: the key ${wrong}`);
}

function checkSpawn(job: Job, count: number, doing: string): void {
  const refuse = (found: string): Refusal => new Refusal("LIMIT", `Cannot ${doing}: ${found}`);
  if (count > MAX_SPAWN_JOBS) {
    throw refuse(`${count} jobs are more than ${MAX_SPAWN_JOBS} at once`);
  }
  if (depthOf(job) >= MAX_SPAWN_DEPTH) {
    const { id } = job.spec;
    throw refuse(`jobs have added jobs ${MAX_SPAWN_DEPTH} times, down to ${id}, and no deeper`);
  }
  if (agentOf(job).spawns.length >= MAX_SPAWNS) {
    throw refuse(`the job has added jobs ${MAX_SPAWNS} times already`);
  }
}

/** How deep and how wide the agent run may grow: no budget helps a job that wants more. */
function checkShape(job: Job, count: number, doing: string): void {
  const { group } = job.run;
  if (group === undefined) return;
  const { depth = Infinity, fanOut = Infinity } = group.limits;
  const refuse = (found: string): Refusal =>
    new Refusal("LIMIT", `Cannot ${doing}: agent run "${group.id}": ${found}`);
  const below = depthOf(job) + 1;
  if (below > depth) throw refuse(`they would be ${below} deep, more than ${depth}`);
  const before = agentOf(job).spawns.reduce((sum, spawn) => sum + spawn.count, 0);
  if (before + count <= fanOut) return;
  const found = `with the ${before} before they would be ${before + count} of ${job.spec.id}`;
  throw refuse(`${found}, more than ${fanOut}`);
}

function otherJobs(
  { run, spec }: Job,
  known: SpawnRecord,
  { wish, digest }: { wish: CommandOf<"Spawn">; digest: Buffer },
): Refusal {
  const short = (bytes: Buffer): string => bytes.toString("hex").slice(0, 12);
  const its = plural(known.count, "job");
  const before = `${run.id}/${spec.id} has added ${its} under it (${short(known.digest)})`;
  const now = `this is another list of ${wish.jobs.length} (${short(digest)})`;
  return new Refusal("CONFLICT", `Cannot add jobs under key "${wish.key}": ${before}, and ${now}`);
}

/** The jobs as the run numbers them. In the wish they are numbered from 0, then by name. */
function placed(run: Run, { jobs, parents }: CommandOf<"Spawn">, doing: string): JobSpec[] {
  const from = run.jobs.length;
  const older = parents.map((id) => indexOf(run, id, doing));
  const place = (parent: number): number => {
    if (parent < jobs.length) return from + parent;
    const index = older[parent - jobs.length];
    if (index !== undefined) return index;
    const found = `a job depends on number ${parent} of ${jobs.length + older.length}`;
    throw new Refusal("INVALID", `Cannot ${doing}: ${found}`);
  };
  return jobs.map((job): JobSpec => {
    const { dependsOn, affinity } = job;
    return {
      ...job, dependsOn: dependsOn.map(place),
      affinity: affinity === undefined ? undefined : place(affinity),
    };
  });
}

function indexOf(run: Run, id: string, doing: string): number {
  const index = run.dag.indexOf(id);
  if (index !== undefined) return index;
  throw new Refusal("NOT_FOUND", `Cannot ${doing}: there is no job "${id}" in run ${run.id}`);
}
