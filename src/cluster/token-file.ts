/**
 * Lesson 13: the cluster's token in a file, for commands that are told where it is (lesson 18 as
 * well: who answers a question of a cluster for one run).
 */
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Only this user may read it. Undefined: there is no token. */
export async function writeTokenFile(
  stateDir: string, token: string | undefined,
): Promise<string | undefined> {
  if (token === undefined) return undefined;
  const path = join(stateDir, "token");
  await writeFile(path, `${token}\n`, { mode: 0o600 });
  await chmod(path, 0o600); // it may have been there
  return path;
}
