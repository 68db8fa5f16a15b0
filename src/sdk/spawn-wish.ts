/**
 * Lesson 18: the jobs that a job adds to its run, as they travel: names become numbers.
 *
 *     needs: "own"      a job of the same list           its place there
 *     needs: "older"    a job that the run has already   a place behind the list, in `parents`
 *
 * A list is read as a pipeline is. But an agent that fans out adds thousands of jobs with nothing
 * but an id, a program and parents, in a program that has just started, where the reader's many
 * functions are not compiled yet: 30 µs a job. Such a list is read here, in a fifth of that.
 *
 * Invariants: what is read here would be read by the pipeline's reader with the same result; of a
 * list with anything else in it nothing is read here, so that there is one who says what is wrong.
 * Test: test/18-agents.sdk.test.ts
 */
import { definePipeline, limits } from "#pipeline";
import type { Action, JobSpec, Spawn } from "#wire";
import type { JobInput } from "./input.ts";
import { toSpec } from "./spec.ts";

export interface SpawnOptions {
  /** The part of the work that they belong to, for people: `titan agents` shows it. */
  readonly stage?: string;
  /** Jobs of the run that have not started, and are to wait for all of these. */
  readonly before?: string | readonly string[];
}

/** Jobs, and the ids of those in the run that they name. */
type Added = Pick<Spawn, "jobs" | "parents">;

/**
 * Names of jobs that are not in the list are those of jobs that the run has already.
 *
 * @throws {PipelineError} with all problems
 */
export function spawnWish(
  key: string, jobs: readonly JobInput[], options: SpawnOptions = {},
): Spawn {
  const { stage = "", before = [] } = options;
  const added = plainJobs(key, jobs) ?? readJobs(key, jobs);
  const later = typeof before === "string" ? [before] : before;
  const edges = added.jobs.flatMap((_, job) => later.map((child) => ({ job, child })));
  return { key, stage, ...added, before: edges };
}

function readJobs(key: string, jobs: readonly JobInput[]): Added {
  const own = new Set(jobs.map(({ id }) => id));
  const parents = [...new Set(jobs.flatMap(parentsOf))].filter((id) => !own.has(id));
  // They stand in for the older jobs while names become numbers, and are left out then.
  const standIns = parents.map((id): JobInput => ({ id, command: ["true"] }));
  const name = key === "" ? "spawn" : key.replace(/[/\p{Cc}]/gu, "-").slice(0, 100);
  const spec = toSpec(definePipeline({ name, project: false, jobs: [...jobs, ...standIns] }));
  return { jobs: spec.jobs.slice(0, spec.jobs.length - parents.length), parents };
}

function parentsOf({ depends_on = [], needs = [], affinity }: JobInput): string[] {
  const listed = [depends_on, needs].flatMap((ids) => typeof ids === "string" ? [ids] : [...ids]);
  return typeof affinity === "string" ? [...listed, affinity] : listed;
}

// ── lists in which every job is plain ────────────────────────────────────────────────────────────

const PLAIN_KEYS: ReadonlySet<string> = new Set(["id", "command", "run", "depends_on", "needs"]);
const ID = new RegExp(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,${limits.MAX_ID_CHARS - 1}}$`);
const HALF_CHARACTER = /\p{Surrogate}/u;

/** Undefined: the reader of pipelines is to read them. */
export function plainJobs(key: string, jobs: readonly JobInput[]): Added | undefined {
  if (jobs.length === 0 || !isId(key)) return undefined;
  const places = new Map<string, number>();
  for (const { id } of jobs) {
    if (!isId(id) || places.has(id)) return undefined;
    places.set(id, places.size);
  }
  const parents: string[] = [];
  /** Of a job of the run. */
  const placeOf = (id: string): number => {
    const place = places.get(id) ?? jobs.length + parents.push(id) - 1;
    places.set(id, place);
    return place;
  };
  const read: JobSpec[] = [];
  for (const job of jobs) {
    const action = isPlain(job) ? actionOf(job) : undefined;
    const dependsOn = parentPlaces(job, placeOf);
    // A parent that comes later may close a circle, and so does the job itself.
    const isLate = (place: number): boolean => place >= read.length && place < jobs.length;
    if (action === undefined || dependsOn === undefined || dependsOn.some(isLate)) return undefined;
    read.push({
      id: job.id, action, dependsOn, requirement: [], priority: 1, delayMs: 0, affinity: undefined,
      when: "success", timeoutMs: 0, retry: undefined, env: {}, gate: undefined,
      service: undefined, files: undefined,
    });
  }
  return { jobs: read, parents };
}

function isPlain(job: JobInput): boolean {
  const prototype: unknown = Object.getPrototypeOf(job);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return Object.keys(job).every((key) => PLAIN_KEYS.has(key));
}

function actionOf({ command, run }: JobInput): Action | undefined {
  if (command === undefined) return isText(run) ? { type: "shell", script: run } : undefined;
  if (run !== undefined || !Array.isArray(command)) return undefined;
  if (command.length > limits.MAX_ARGS || !isText(command[0])) return undefined;
  const argv = [...command];
  return argv.every((text) => text === "" || isText(text)) ? { type: "command", argv } : undefined;
}

function parentPlaces(
  { needs, depends_on: other }: JobInput, placeOf: (id: string) => number,
): number[] | undefined {
  if (needs !== undefined && other !== undefined) return undefined;
  const named = needs === undefined ? other : needs;
  if (named === undefined) return [];
  if (typeof named !== "string" && !Array.isArray(named)) return undefined;
  const ids = typeof named === "string" ? [named] : [...named];
  return ids.every(isId) && new Set(ids).size === ids.length ? ids.map(placeOf) : undefined;
}

function isId(value: unknown): value is string {
  return typeof value === "string" && ID.test(value);
}

/** Text that is surely not too long: a character has at most three bytes. */
function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && 3 * value.length <= limits.MAX_TEXT_BYTES &&
    !value.includes("\0") && !HALF_CHARACTER.test(value);
}
