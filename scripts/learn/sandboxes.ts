/**
 * Sandboxes that are used again. To copy the project takes a third of a second of processor time
 * and to put a changed file back takes a millisecond, and most jobs of the gate change one file or
 * none.
 */
import { constants, cpSync, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
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
  readonly entries: ReadonlyMap<string, Entry>;
  readonly temp: string;
  readonly tempEntries: ReadonlyMap<string, Entry>;
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
 * in it. A sandbox has five thousand, and this is done after each job.
 */
function entriesUnder(folder: string): Map<string, Entry> {
  const found = new Map<string, Entry>();
  const look = (prefix: string): void => {
    for (const each of readdirSync(`${folder}/${prefix}`, { withFileTypes: true })) {
      const path = prefix + each.name;
      if (each.isSymbolicLink()) {
        found.set(path, LINK);
        continue;
      }
      const { mode, size, mtimeMs } = lstatSync(`${folder}/${path}`);
      const isFolder = each.isDirectory();
      found.set(path, { mode, size: isFolder ? 0 : size, mtimeMs: isFolder ? 0 : mtimeMs });
      if (isFolder) look(`${path}/`);
    }
  };
  look("");
  return found;
}

/**
 * As far as `cp -p` keeps it. A file that was written since has another time; that of a folder, and
 * that of a link, says nothing.
 */
interface Entry {
  readonly mode: number;
  readonly size: number;
  readonly mtimeMs: number;
}

const LINK: Entry = { mode: constants.S_IFLNK, size: 0, mtimeMs: 0 };

function same(a: Entry, b: Entry | undefined): boolean {
  if (b === undefined || a.mode !== b.mode) return false;
  return a.size === b.size && Math.round(a.mtimeMs) === Math.round(b.mtimeMs);
}
