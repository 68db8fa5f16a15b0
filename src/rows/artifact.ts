/**
 * An artifact as plain JSON.
 *
 * Test: test/cli.artifact.test.ts
 */
import type { ArtifactInfo } from "#wire";

/** `run` null: it is kept by its name. */
export function artifactJson(info: ArtifactInfo): object {
  const { name, run, size, sha256, at, by, byRun, byJob, byAttempt } = info;
  const from = byRun === "" ? null
    : { run: byRun, job: byJob === "" ? null : byJob, attempt: byAttempt === 0 ? null : byAttempt };
  return { name, run: run === "" ? null : run, size, sha256, at, by: by === "" ? null : by, from };
}
