/**
 * Lesson 11: what people, jobs and workers want of artifacts, and what makes way for new ones.
 *
 *     PutArtifact ─▶ ArtifactPut                    its bytes are in place: the file came first
 *     RemoveArtifact, CollectArtifacts ─▶ ArtifactsRemoved      somebody wants it
 *     ExpireArtifacts, MakeArtifactRoom ─▶ ArtifactsRemoved     they are old, or others need room
 *
 * What is removed without being asked for by its name belongs to a run that has ended. Those of
 * open runs and those that are kept by name stay; when they alone fill the room, a put is refused.
 *
 * Invariants: an attempt that is over puts nothing; no declared input of an open run is removed;
 * each artifact in the state has one `Hold` of its blob.
 * Test: test/10-master.artifacts.test.ts
 */
import { hint } from "#base";
import {
  artifactNameProblem, isOpenRun, isTerminal, MAX_ARTIFACT_BYTES, type ArtifactRef,
} from "#wire";
import { artifactInfo } from "./artifact-state.ts";
import type { ArtifactWish, CommandOf } from "./command.ts";
import { NOTHING, onlyReply, type Decided, type DecidedOn, type Effect } from "./effect.ts";
import type { Event } from "./events.ts";
import { findJob, findRun } from "./find.ts";
import {
  DEFAULT_ARTIFACT_LIMITS, MAX_KEPT_ARTIFACTS, MAX_REMOVED_ARTIFACTS, MAX_RUN_ARTIFACTS,
} from "./limits.ts";
import { artifactMemory } from "./memory.ts";
import { Refusal, type Context } from "./refusal.ts";
import { checkRoom } from "./room.ts";
import type { Artifact, Job, Run, State } from "./state.ts";

/** Where it belongs. */
interface Place {
  /** Undefined: it is kept by its name. */
  readonly run: Run | undefined;
  readonly job: Job | undefined;
  readonly name: string;
}

// #region check
/**
 * Whether somebody may put this, as far as it is known before the bytes have come.
 *
 * @throws {Refusal}
 */
export function checkArtifact(state: State, wish: ArtifactWish, context: Context): Place {
  const { keep, size = 0 } = wish;
  const doing = `put artifact ${shown(wish.name)}`;
  const problem = wish.worker === undefined ? artifactNameProblem(wish.name) : undefined;
  if (problem !== undefined) throw new Refusal("INVALID", `Cannot ${doing}: ${problem}`);
  if (wish.run === undefined && !keep) {
    const found = "it belongs to no run, and is not to be kept by its name";
    throw new Refusal("INVALID", `Cannot ${doing}: ${found}`);
  }
  const most = Math.min(MAX_ARTIFACT_BYTES, limitsOf(context).totalBytes);
  if (size > most) {
    throw new Refusal("INVALID", `Cannot ${doing}: ${size} bytes are more than ${most}`);
  }
  const from = wish.run === undefined ? undefined : findRun(state, wish.run);
  const job = from === undefined ? undefined : presentedJob(from, wish, doing);
  if (from !== undefined && !keep && !isOpenRun(from.status)) {
    const found = `run ${from.id} has ended (${from.status})`;
    throw new Refusal("CONFLICT", `Cannot ${doing}: ${found}; --keep keeps it by its name`);
  }
  const name = wish.worker === undefined ? wish.name : `${wish.job}/${wish.name}`;
  const place = { run: keep ? undefined : from, job, name };
  checkCount(state, place, { doing, context });
  return place;
}
// #endregion

/** The job that says it does this, if one does: its attempt has to run. */
function presentedJob(
  run: Run, { job: id, attempt, worker, name }: ArtifactWish, doing: string,
): Job | undefined {
  if (id === undefined) return undefined;
  const job = findJob(run, id);
  const what = `${run.id}/${id}`;
  if (attempt !== undefined && (job.attempt !== attempt || job.status !== "RUNNING")) {
    const now = job.attempt > attempt ? `attempt ${job.attempt} is ${job.status}` : job.status;
    const found = `attempt ${attempt} of ${what} is over (${now})`;
    throw new Refusal("CONFLICT", `Cannot ${doing}: ${found}`);
  }
  if (worker === undefined) return job;
  if (attempt === undefined || job.worker !== worker) {
    throw new Refusal("CONFLICT", `Cannot ${doing}: ${what} runs on another worker`);
  }
  if (job.spec.files?.outputs.includes(name) === true) return job;
  throw new Refusal("INVALID", `Cannot ${doing}: ${what} does not declare it as an output`);
}

function checkCount(
  state: State, { run, name }: Place, { doing, context }: { doing: string; context: Context },
): void {
  const there = run === undefined ? state.kept : run.artifacts;
  const most = run === undefined ? MAX_KEPT_ARTIFACTS : MAX_RUN_ARTIFACTS;
  if (there.size >= most && there.get(name) === undefined) {
    const whose = run === undefined ? "are kept by name" : `belong to run ${run.id}`;
    throw new Refusal("CONFLICT", `Cannot ${doing}: ${most} artifacts ${whose} already`);
  }
  if (run === undefined) return;
  const bytes = artifactMemory({ name, sha256: "", byRun: run.id, byJob: "", by: "" });
  checkRoom(state, { runs: 0, bytes, doing }, context);
}

function shown(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

// #region put
/** Its bytes are in place, and somebody holds them until this is durable. */
export function decidePutArtifact(
  state: State, wish: CommandOf<"PutArtifact">, context: Context,
): DecidedOn<"PutArtifact"> {
  const { sha256, size, by } = wish;
  const { run, job, name } = checkArtifact(state, wish, context);
  const room = roomFor(state, { bytes: state.contents.has(sha256) ? 0 : size, name }, context);
  const at = context.now;
  const byRun = wish.run ?? "";
  const facts = {
    name, sha256, size, at, by, byRun, byJob: job?.spec.id ?? wish.job ?? "",
    byAttempt: wish.attempt ?? 0,
  };
  const old = run === undefined ? state.kept.get(name) : run.artifacts.get(name);
  const put: Event = { type: "ArtifactPut", ...facts, run: run?.number };
  return {
    events: [...room.events, put],
    effects: [...room.effects, { type: "Hold", blob: sha256 }, ...(old ? [releaseOf(old)] : [])],
    reply: { info: artifactInfo({ ...facts, run }), replaced: old && artifactInfo(old) },
  };
}
// #endregion

function releaseOf({ sha256 }: Artifact): Effect {
  return { type: "Release", blob: sha256 };
}

// ── finding one ──────────────────────────────────────────────────────────────────────────────────

/** @throws {Refusal} NOT_FOUND */
export function findArtifact(state: State, ref: ArtifactRef): Artifact {
  const { name, run: id, orKept } = ref;
  const run = id === "" ? undefined : findRun(state, id);
  const found = run?.artifacts.get(name);
  if (found !== undefined) return found;
  const kept = run === undefined || orKept ? state.kept.get(name) : undefined;
  if (kept !== undefined) return kept;
  const where = run === undefined ? "none is kept by this name"
    : `run ${run.id} has none of this name${orKept ? ", and none is kept by it" : ""}`;
  const names = [
    ...(run?.artifacts.keys() ?? []), ...(run === undefined || orKept ? state.kept.keys() : []),
  ];
  throw new Refusal(
    "NOT_FOUND",
    `Cannot find artifact ${shown(name)}: ${where}${hint(name, names)}`,
  );
}

// ── going ────────────────────────────────────────────────────────────────────────────────────────

/** @throws {Refusal} an open run needs it */
export function decideRemoveArtifact(
  state: State, wish: CommandOf<"RemoveArtifact">, context: Context,
): DecidedOn<"RemoveArtifact"> {
  const { by, ref } = wish;
  const artifact = findArtifact(state, ref);
  const child = neededBy(artifact);
  if (child !== undefined) {
    const found = `job "${child.spec.id}", which has not ended, takes it as an input`;
    throw new Refusal("CONFLICT", `Cannot remove artifact ${shown(artifact.name)}: ${found}`);
  }
  const gone = removalOf([artifact], { at: context.now, reason: `${by || "somebody"} removed it` });
  const freed = freedBy(state, [artifact]);
  return { ...gone, reply: { removed: [artifactInfo(artifact)], more: false, freed } };
}

/** A job that has not ended and declares it as an input. */
function neededBy({ run, name }: Artifact): Job | undefined {
  if (run === undefined || !name.includes("/") || !isOpenRun(run.status)) return undefined;
  return run.jobs.find(({ status, spec: { files } }) => !isTerminal(status) &&
    files?.inputs.some(({ job, path }) => `${run.jobs[job]!.spec.id}/${path}` === name));
}

export function decideCollectArtifacts(
  state: State, wish: CommandOf<"CollectArtifacts">, context: Context,
): DecidedOn<"CollectArtifacts"> {
  const { olderMs, kept, dryRun, by } = wish;
  const before = context.now - olderMs;
  const found: Artifact[] = [];
  for (const run of state.leaving) {
    if (run.endedAt <= before) found.push(...run.artifacts.values());
    if (found.length > MAX_REMOVED_ARTIFACTS) break;
  }
  for (const artifact of kept ? state.kept.values() : []) {
    if (artifact.at <= before) found.push(artifact);
  }
  const meant = found.slice(0, MAX_REMOVED_ARTIFACTS);
  const removed = meant.map(artifactInfo);
  const more = found.length > meant.length;
  const reply = { removed, more, freed: freedBy(state, meant) };
  if (dryRun || meant.length === 0) return onlyReply(reply);
  const reason = `collected by ${by || "somebody"}`;
  return { ...removalOf(meant, { at: context.now, reason }), reply };
}

// #region expire
/** The artifacts of runs that ended long ago. Each run costs one look, on the day it is too old. */
export function decideExpireArtifacts(
  state: State, _: CommandOf<"ExpireArtifacts">, context: Context,
): DecidedOn<"ExpireArtifacts"> {
  const before = context.now - limitsOf(context).ageMs;
  const old: Artifact[] = [];
  for (const run of state.leaving) {
    if (run.endedAt > before || old.length >= MAX_REMOVED_ARTIFACTS) break;
    old.push(...run.artifacts.values());
  }
  if (old.length === 0) return NOTHING;
  return removalOf(old, { at: context.now, reason: "their runs ended long ago" });
}
// #endregion

/** Uploads are under way, and are to take so many bytes of the disk beside what is there. */
export function decideMakeArtifactRoom(
  state: State, { bytes, name }: CommandOf<"MakeArtifactRoom">, context: Context,
): DecidedOn<"MakeArtifactRoom"> {
  return roomFor(state, { bytes, name }, context);
}

// #region room
/** What has to go for so many bytes more: artifacts of runs that have ended, the oldest first. */
function roomFor(
  state: State, { bytes, name }: { bytes: number; name: string }, context: Context,
): Decided<undefined> {
  const { totalBytes } = limitsOf(context);
  let excess = state.contentBytes + bytes - totalBytes;
  if (excess <= 0) return NOTHING;
  const gone: Artifact[] = [];
  const uses = new Map<string, number>();
  for (const run of state.leaving) {
    for (const artifact of run.artifacts.values()) {
      if (excess <= 0) break;
      gone.push(artifact);
      excess -= lastUseBytes(state, artifact, uses);
    }
  }
  if (excess > 0) {
    const found = `artifacts of open runs, and those kept by name, hold ${state.contentBytes} of ` +
      `${totalBytes} bytes`;
    const advice = "titan artifact rm makes room, and --artifact-max-bytes of the master";
    throw new Refusal("CONFLICT", `Cannot put artifact ${shown(name)}: ${found}; ${advice}`);
  }
  return removalOf(gone, { at: context.now, reason: "others needed the room" });
}
// #endregion

/** What the disk gets back if this one goes after those that `uses` has counted. */
function lastUseBytes(
  state: State, { sha256, size }: Artifact, uses: Map<string, number>,
): number {
  const left = (uses.get(sha256) ?? state.contents.get(sha256)!.uses) - 1;
  uses.set(sha256, left);
  return left === 0 ? size : 0;
}

function freedBy(state: State, gone: readonly Artifact[]): number {
  const uses = new Map<string, number>();
  return gone.reduce((sum, artifact) => sum + lastUseBytes(state, artifact, uses), 0);
}

function removalOf(
  gone: readonly Artifact[], why: { at: number; reason: string },
): Decided<undefined> {
  const events: Event[] = [];
  for (let from = 0; from < gone.length; from += MAX_REMOVED_ARTIFACTS) {
    const part = gone.slice(from, from + MAX_REMOVED_ARTIFACTS);
    const named = part.map(({ run, name }) => ({ run: run?.number, name }));
    events.push({ type: "ArtifactsRemoved", ...why, gone: named });
  }
  return { events, effects: gone.map(releaseOf), reply: undefined };
}

function limitsOf({
  artifacts = DEFAULT_ARTIFACT_LIMITS,
}: Context): typeof DEFAULT_ARTIFACT_LIMITS {
  return artifacts;
}
