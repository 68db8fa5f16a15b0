/**
 * Lesson 24: the state that a log stands for, as a start would find it.
 *
 * A backup is checked with the machinery that a start uses: the master is a fold over its log, so
 * whoever can read the log can know the state, its hash and the files that belong to it.
 *
 * Test: test/24-packaging.backup.test.ts
 */
import { apply, Event, hashState, SnapshotReader, State } from "#core";
import type { PinnedLog } from "#log";

export interface FoundState {
  readonly hash: string;
  readonly runs: number;
  /** Hashes of the projects that runs need, and of artifacts, each once. */
  readonly blobs: readonly string[];
  /** Whether an attempt is one that this state knows: its output belongs to it. */
  hasAttempt(name: { run: number; job: number; attempt: number }): boolean;
  readonly runNumbers: readonly number[];
}

export async function stateOf(log: PinnedLog): Promise<FoundState> {
  const reader = new SnapshotReader();
  let state: State | undefined;
  let parts = 0;
  await log.replay({
    chunk: (chunk) => {
      reader.part(chunk);
      parts += 1;
    },
    record: (_seq, body) => {
      state ??= parts > 0 ? reader.finish() : new State();
      apply(state, Event.decode(body));
    },
  });
  const found = state ?? (parts > 0 ? reader.finish() : new State());
  const blobs = new Set<string>();
  for (const { spec } of found.runs.values()) {
    if (spec.project !== undefined) blobs.add(spec.project);
  }
  for (const hash of found.contents.keys()) blobs.add(hash);
  return {
    hash: hashState(found),
    runs: found.runs.size,
    blobs: [...blobs].sort(),
    runNumbers: [...found.runs.keys()],
    hasAttempt: ({ run, job, attempt }) =>
      attempt <= (found.runs.get(run)?.jobs[job]?.attempt ?? 0),
  };
}
