/**
 * Lesson 11: what the state keeps of artifacts, and how events change it.
 *
 *     ArtifactPut ─▶ run.artifacts or state.kept ─▶ contents: the hash is used once more
 *     ArtifactsRemoved, RunsForgotten, another ArtifactPut of that name ─▶ once less
 *
 * The bytes are no part of the state: they are blobs (../blobs.ts), and each artifact holds one.
 *
 * Invariants: `contents` counts what the artifacts say; `leaving` has the runs of `finished` that
 * have artifacts, in the same order.
 * Test: test/10-master.artifacts.test.ts
 */
import { invariant } from "#base";
import type { ArtifactInfo } from "#wire";
import type { EventOf } from "./events.ts";
import { charge } from "./jobs.ts";
import { artifactMemory } from "./memory.ts";
import { NO_ARTIFACTS, type Artifact, type Run, type State } from "./state.ts";

/** One as an event and a snapshot have it. */
export type ArtifactRecord = Omit<Artifact, "run"> & { readonly run?: number | undefined };

export function artifactPut(state: State, event: EventOf<"ArtifactPut">): void {
  const { type: _, ...record } = event;
  putArtifact(state, record);
}

export function putArtifact(state: State, record: ArtifactRecord): void {
  const run = record.run === undefined ? undefined : runOf(state, record.run);
  const artifact: Artifact = { ...record, run };
  const { name, sha256, size } = artifact;
  const old = run === undefined ? state.kept.get(name) : run.artifacts.get(name);
  if (old !== undefined) removeArtifact(state, old);
  if (run === undefined) state.kept.set(name, artifact);
  else {
    if (run.artifacts === NO_ARTIFACTS) run.artifacts = new Map();
    run.artifacts.set(name, artifact);
    charge(state, run, artifactMemory(artifact));
  }
  const uses = state.contents.get(sha256)?.uses ?? 0;
  if (uses === 0) state.contentBytes += size;
  state.contents.set(sha256, { size, uses: uses + 1 });
}

function runOf(state: State, number: number): Run {
  const run = state.runs.get(number);
  invariant(run !== undefined, () => `an artifact is of run ${number}, which does not exist`);
  return run;
}

export function artifactsRemoved(state: State, event: EventOf<"ArtifactsRemoved">): void {
  for (const { run: number, name } of event.gone) {
    const run = number === undefined ? undefined : runOf(state, number);
    const artifact = run === undefined ? state.kept.get(name) : run.artifacts.get(name);
    invariant(artifact !== undefined, () => `artifact ${name} is removed, and is not there`);
    removeArtifact(state, artifact);
  }
}

function removeArtifact(state: State, artifact: Artifact): void {
  const { run, name } = artifact;
  if (run === undefined) state.kept.delete(name);
  else {
    run.artifacts.delete(name);
    charge(state, run, -artifactMemory(artifact));
    if (run.artifacts.size === 0) state.leaving.delete(run);
  }
  release(state, artifact);
}

/** Its run is being forgotten, and has left the sums. */
export function forgetArtifacts(state: State, run: Run): void {
  state.leaving.delete(run);
  for (const artifact of run.artifacts.values()) release(state, artifact);
}

function release(state: State, { sha256 }: Artifact): void {
  const { size, uses } = state.contents.get(sha256)!;
  if (uses > 1) return state.contents.set(sha256, { size, uses: uses - 1 });
  state.contents.delete(sha256);
  state.contentBytes -= size;
}

/** All of them, those without a run last. */
export function* allArtifacts(state: State): Generator<Artifact> {
  for (const run of state.runs.values()) yield* run.artifacts.values();
  yield* state.kept.values();
}

export function artifactInfo({ run, ...facts }: Artifact): ArtifactInfo {
  return { ...facts, run: run?.id ?? "" };
}

export function recordOf({ run, ...facts }: Artifact): ArtifactRecord {
  return { ...facts, run: run?.number };
}
