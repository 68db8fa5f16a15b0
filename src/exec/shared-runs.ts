/**
 * Lesson 11: TITAN_SHARED: the folder of a run, and the list of runs that have one here.
 *
 * Test: test/11-worker.shared.test.ts
 */
import { join } from "node:path";
import { removeShared, sweepShared } from "#host";
import { safeName, textOfName } from "./safe-name.ts";

/** The folder that the jobs of a run share on this machine. */
export function sharedFolder(sharedRoot: string, cluster: string, run: string): string {
  return join(sharedRoot, safeName(cluster), safeName(run));
}

/** The runs of a cluster that have a folder here, whichever worker made it. */
export function sharedRuns(sharedRoot: string, cluster: string): string[] {
  const names = sweepShared(join(sharedRoot, safeName(cluster)));
  return names.map(textOfName).filter((run) => run !== undefined);
}

/** Removes the folders of the given runs, which are over. */
export async function removeSharedRuns(
  sharedRoot: string,
  cluster: string,
  isOver: (run: string) => boolean,
): Promise<void> {
  for (const run of sharedRuns(sharedRoot, cluster)) {
    if (isOver(run)) await removeShared(sharedFolder(sharedRoot, cluster, run));
  }
}
