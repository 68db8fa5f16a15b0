/**
 * Remembers which checks passed on which inputs, so that a second run is quick. Never used under
 * CI. Only successes are kept: a failure is run again until it is gone.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Cache {
  has(key: string): boolean;
  add(key: string): void;
  save(): void;
}

/** Entries beyond this, oldest first, are forgotten: every change of a source makes new ones. */
const MAX_ENTRIES = 2000;

export function openCache(root: string, enabled: boolean): Cache {
  const folder = join(root, "node_modules", ".cache", "titan-learn");
  const path = join(folder, "passed.json");
  const known = new Set<string>(enabled ? read(path) : []);
  const fresh = new Set<string>();
  return {
    has: (key) => enabled && known.has(key),
    add: (key) => void fresh.add(key),
    save() {
      if (!enabled || fresh.size === 0) return;
      mkdirSync(folder, { recursive: true });
      const kept = [...new Set([...read(path), ...fresh])].slice(-MAX_ENTRIES);
      const temp = `${path}.${process.pid}`;
      writeFileSync(temp, JSON.stringify(kept));
      renameSync(temp, path);
    },
  };
}

function read(path: string): string[] {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as string[];
  } catch {
    return [];
  }
}

/** A digest of names and contents. */
export function contentHash(
  parts: readonly (readonly [name: string, content: string | Buffer])[],
): string {
  const hash = createHash("sha256");
  for (const [name, content] of parts) hash.update(`${name}\0${content.length}\0`).update(content);
  return hash.digest("hex");
}
