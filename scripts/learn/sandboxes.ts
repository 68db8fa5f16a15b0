/**
 * Sandboxes that are used again. To copy the project takes a third of a second of processor time
 * and to put a changed file back takes a millisecond, and most jobs of the gate change one file or
 * none.
 */
import { cpSync, lstatSync, mkdirSync, readdirSync, rmSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { killStrays, makeSandbox, type Sandbox } from "./sandbox.ts";

export interface Sandboxes {
  /**
   * Lends a sandbox that is as the project was when the first one was made. Nobody else has it
   * meanwhile.
   */
  use<T>(work: (sandbox: Sandbox) => Promise<T>): Promise<T>;
  remove(): void;
}

/** @param options compile: as makeSandbox() has it */
export function openSandboxes(root: string, options: { compile?: boolean } = {}): Sandboxes {
  let pristine: Pristine | undefined;
  const free: Sandbox[] = [];
  const all: Sandbox[] = [];
  const keep = (sandbox: Sandbox): Sandbox => (all.push(sandbox), sandbox);
  const make = (): Sandbox => {
    pristine ??= pristineOf(keep(makeSandbox(root, options)));
    return keep(makeSandbox(pristine.root));
  };
  return {
    async use(work) {
      const sandbox = free.pop() ?? make();
      const result = await work(sandbox);
      restore(sandbox, pristine!);
      free.push(sandbox); // Not after an error: nobody knows what it left behind.
      return result;
    },
    remove() {
      for (const sandbox of all) sandbox.remove();
    },
  };
}

/** A copy in which nothing is ever run: others are copied from it and compared with it. */
interface Pristine {
  readonly root: string;
  readonly entries: ReadonlyMap<string, Stats>;
  readonly temp: string;
  readonly tempEntries: ReadonlyMap<string, Stats>;
}

function pristineOf({ root, temp }: Sandbox): Pristine {
  return { root, entries: entriesUnder(root), temp, tempEntries: entriesUnder(temp) };
}

/** Ends what still runs in the sandbox and makes its files again those of the pristine one. */
function restore(sandbox: Sandbox, { root, entries, temp, tempEntries }: Pristine): void {
  killStrays(sandbox);
  for (const [folder, origin, before] of [
    [sandbox.root, root, entries],
    [sandbox.temp, temp, tempEntries],
  ] as const) {
    const now = entriesUnder(folder);
    for (const [path, stats] of now) {
      if (!same(stats, before.get(path))) {
        rmSync(join(folder, path), { recursive: true, force: true });
      }
    }
    for (const [path, stats] of before) {
      if (same(stats, now.get(path))) continue;
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      cpSync(join(origin, path), join(folder, path), {
        recursive: true,
        preserveTimestamps: true,
        verbatimSymlinks: true,
      });
    }
  }
}

/**
 * All files, links and folders below a folder, by their path in it; a folder comes before what is
 * in it.
 */
function entriesUnder(folder: string, prefix = ""): Map<string, Stats> {
  const found = new Map<string, Stats>();
  for (const name of readdirSync(join(folder, prefix))) {
    const path = join(prefix, name);
    const stats = lstatSync(join(folder, path));
    found.set(path, stats);
    if (stats.isDirectory()) {
      for (const [inner, each] of entriesUnder(folder, path)) found.set(inner, each);
    }
  }
  return found;
}

/**
 * As far as `cp -p` keeps it. A file that was written since has another time; that of a folder says
 * nothing.
 */
function same(a: Stats, b: Stats | undefined): boolean {
  if (b === undefined || a.mode !== b.mode) return false;
  if (a.isDirectory() || a.isSymbolicLink()) return true;
  return a.size === b.size && Math.round(a.mtimeMs) === Math.round(b.mtimeMs);
}
