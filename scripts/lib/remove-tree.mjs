/**
 * The removal of a folder in which jobs ran, at once: for scripts that are on their way out, and
 * for plain ones that cannot import `removeTree` of src/host. A job that was killed may leave
 * folders that not even their owner may change.
 */
import { chmodSync, lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Names may appear and vanish meanwhile, as the last processes end. */
const TRIES = 5;

/**
 * Removes a file or a folder with all that is in it. No error when it is missing; links
 * are not followed.
 * @param {string} path
 */
export function removeTreeSync(path) {
  for (let tries = 1; ; tries++) {
    try {
      return rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    } catch (error) {
      if (tries === TRIES) throw error;
      makeWritable(path);
    }
  }
}

/** @param {string} path */
function makeWritable(path) {
  try {
    if (!lstatSync(path).isDirectory()) return;
    chmodSync(path, 0o700);
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) makeWritable(join(path, entry.name));
    }
  } catch {
    // Gone meanwhile, or somebody else's: the next try says so.
  }
}
