// @ts-check
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * All files below a folder, links included, which are not followed.
 * @param {string} folder
 * @returns {string[]} paths that begin with the folder, in order; none when it is missing
 */
export function filesUnder(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name)).sort();
}
