/** For tests that end processes of others: who lives, and waiting for what no event announces. */

import { accessSync, constants } from "node:fs";
import { delimiter } from "node:path";

/**
 * Where programs are looked for by jobs of tests: in whatever of this process' own PATH may be
 * looked into. A folder that may not makes a program that is missing one that is forbidden.
 */
export const PATH = (process.env["PATH"] ?? "/usr/bin:/bin")
  .split(delimiter)
  .filter((folder) => {
    try {
      accessSync(folder, constants.R_OK | constants.X_OK);
      return true;
    } catch {
      return false;
    }
  })
  .join(delimiter);

/** Nothing here takes long; on a busy machine everything does. */
const PATIENCE_MS = 20_000;

/** The real clock, for tests that put another one in its place. */
const now = performance.now.bind(performance);

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Polls for what no event announces, such as the end of somebody else's child. */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
): Promise<void> {
  const until = now() + PATIENCE_MS;
  while (!(await check())) {
    if (now() > until) throw new Error(`${what}: still not so after ${PATIENCE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
