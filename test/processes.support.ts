/** For tests that end processes of others: who lives, and waiting for what no event announces. */

import { accessSync, constants } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { loaderFlags } from "../scripts/lib/compiled.mjs";

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

/** What stands before the text of a program that uses the project, in a Node of its own. */
export const EVAL = [...loaderFlags(join(import.meta.dirname, "..")), "--input-type=module", "-e"];

/** Nothing here takes long; on a busy machine everything does. */
const PATIENCE_MS = 40_000;

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

/** Below the ports that the system gives to whoever asks for any, and those of services. */
const OWN_PORTS = { from: 10_000, count: 10_000, each: 8 };
let ports = 0;

/**
 * A port for what ends and comes again at the same one. A port that the system has chosen may be
 * another process's in between; these are asked for here alone, by processes of other numbers.
 */
export async function ownPort(): Promise<number> {
  const { from, count, each } = OWN_PORTS;
  for (;;) {
    const port = from + (process.pid * each + ports++) % count;
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => probe
      .once("error", () => resolve(false))
      .listen(port, "127.0.0.1", () => probe.close(() => resolve(true))));
    if (isFree) return port;
  }
}
