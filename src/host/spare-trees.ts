/**
 * Lesson 11: copies of a project that go from one job to the next.
 *
 *     copy ──▶ job ──▶ keep: mend ──▶ spare ──▶ take: mend ──▶ the next job of the project
 *
 * Copying 10,000 files takes a second of a processor, looking at them 25 ms. So a large copy is not
 * removed after its job: it is **mended**. Each entry is compared with the stamp that was taken of
 * it (project-tree.ts); an entry that differs is copied again, and files that the job has added are
 * removed.
 *
 * Invariants: a job gets a tree whose entries all looked untouched a moment ago, and nothing else
 * in it; no spare is in use twice; at most MAX_SPARES trees and MAX_SPARE_ENTRIES entries are kept.
 * A tree that cannot be mended, or was changed in more than MAX_CHANGES places, is removed.
 * Left out: a process of the last job that goes on writing between our look and its end. It can
 * harm the jobs of its own project only, and the sweep (src/process/sweep.ts) ends it.
 * Test: test/03-host.trees.test.ts
 */
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import {
  copyEntry, copyTree, findExtras, look, looksLike, SETTLE_MS, SLICE, stampEntry, stamped,
  stampTree, type Place, type ProjectTree, type TreeStamp,
} from "./project-tree.ts";
import { removeTree } from "./remove-tree.ts";

/**
 * Trees of all projects together, one for each job of a large project that runs at once. With 64
 * MiB each they take 1 GiB.
 */
const MAX_SPARES = 16;
/** Their entries: a stamp has 32 bytes for each. */
const MAX_SPARE_ENTRIES = 200_000;
/**
 * Entries that are worth mending one by one, and entries of a job's own that are worth removing so.
 */
const MAX_CHANGES = 1_000;

interface Copy {
  readonly tree: ProjectTree;
  readonly stamp: TreeStamp;
  /** Wall clock. Between the last check of the copy and this time no job had it. */
  checkedAt: number;
}

interface Spare extends Copy {
  /** Whether it could be mended after its last job. */
  readonly mended: Promise<boolean>;
}

export class SpareTrees {
  readonly #folder: string;
  /** The place of a job's tree, or of a spare one. */
  readonly #inUse = new Map<string, Copy>();
  readonly #free = new Map<string, Spare>();
  readonly #busy = new Set<Promise<void>>();
  #made = 0;
  #closed = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Puts a copy of the project at `path`, which must not exist. After a rejection half a copy may
   * be there.
   */
  async take(tree: ProjectTree, path: string, signal: AbortSignal): Promise<void> {
    for (const [place, spare] of this.#free) {
      if (spare.tree.folder !== tree.folder || spare.tree.entries !== tree.entries) continue;
      this.#free.delete(place);
      // A spare that is still being mended is ready sooner than a new copy.
      const whole = await Promise.race([spare.mended, aborted(signal)]);
      if (signal.aborted && !this.#closed) this.#free.set(place, spare); // for the next job
      signal.throwIfAborted();
      const isEnough = (): boolean => signal.aborted || this.#closed;
      if (!whole || !(await mend(spare, place, { settled: true, isEnough }).catch(() => false))) {
        this.#discard(place);
        signal.throwIfAborted();
        continue;
      }
      renameSync(place, path);
      const { stamp, checkedAt } = spare;
      this.#inUse.set(path, { tree, stamp, checkedAt });
      signal.throwIfAborted();
      return;
    }
    mkdirSync(path);
    await copyTree(tree, path, signal);
    const stamp = await stampTree(path, tree.entries);
    signal.throwIfAborted();
    if (stamp !== undefined) this.#inUse.set(path, { tree, stamp, checkedAt: Date.now() });
  }

  /** The job in this folder is over. True: its tree is not there any more. */
  keep(path: string): boolean {
    const copy = this.#inUse.get(path);
    if (copy === undefined) return false;
    this.#inUse.delete(path);
    if (this.#closed) return false;
    let place: string;
    try {
      place = this.#place();
      renameSync(path, place);
    } catch {
      return false; // a job may even have removed the folder of the spares
    }
    const isEnough = (): boolean => this.#closed;
    const mended = mend(copy, place, { settled: false, isEnough }).catch(() => false);
    // The files that a job leaves may be large: they go at once, not when somebody wants the tree.
    this.#work(mended.then((whole) => {
      if (!whole && this.#free.delete(place)) return removeTree(place);
    }));
    this.#free.set(place, { ...copy, mended });
    this.#shrink();
    return true;
  }

  /** Moves the tree at this path away at once, and removes it in the background. */
  putAway(path: string): void {
    const place = this.#place();
    renameSync(path, place);
    this.#discard(place);
  }

  /** Resolves when nothing is under way in here. From now on nothing is kept. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  #place(): string {
    mkdirSync(this.#folder, { recursive: true });
    return join(this.#folder, `tree-${this.#made++}`);
  }

  #shrink(): void {
    let entries = 0;
    for (const { tree } of this.#free.values()) entries += tree.entries.length;
    for (const [oldest, { tree, mended }] of this.#free) {
      if (this.#free.size <= MAX_SPARES && entries <= MAX_SPARE_ENTRIES) break;
      this.#free.delete(oldest);
      entries -= tree.entries.length;
      this.#work(mended.then(() => removeTree(oldest)));
    }
  }

  #discard(place: string): void {
    this.#work(removeTree(place));
  }

  #work(work: Promise<unknown>): void {
    // A tree that cannot be removed stays in a folder that is removed as a whole at the end.
    const over = work.catch(() => undefined).then(() => void this.#busy.delete(over));
    this.#busy.add(over);
  }
}

// #region mend
/**
 * Makes a copy equal to the project again. False: that would cost more than a new copy.
 *
 * Before the first look (`settled: false`) a job had the tree. It may have changed an entry in the
 * same tick of the clock in which the entry was made, so entries that are so young are copied
 * again.
 */
async function mend(
  copy: Copy,
  place: string,
  { settled, isEnough }: { settled: boolean; isEnough: () => boolean },
): Promise<boolean> {
  const { tree, stamp } = copy;
  const { entries } = tree;
  if (!(await removeExtras(tree, place))) return false;
  const settledBefore = settled ? Infinity : copy.checkedAt - SETTLE_MS;
  let changed = 0;
  for (let at = 0; at < entries.length; at++) {
    if (at % SLICE === SLICE - 1) await turn();
    if (isEnough()) return false;
    const entry = entries[at]!;
    const spot = { folder: place, entries, at };
    if (entry.kind === "folder") {
      if (hasMode(spot, stamped(stamp, at).mode)) continue;
      return false;
    }
    if (looksLike(stamp, spot) && stamped(stamp, at).changedAt < settledBefore) continue;
    if (++changed > MAX_CHANGES) return false;
    await removeTree(`${place}/${entry.path}`);
    await copyEntry(tree, at, place);
    if (!stampEntry(stamp, spot)) return false;
  }
  copy.checkedAt = Date.now();
  return hasMode({ folder: place, entries, at: -1 }, stamped(stamp, -1).mode);
}
// #endregion

function aborted(signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(false), { once: true });
    if (signal.aborted) resolve(false);
  });
}

/** False: a folder is gone, or there are too many extra files, or a name is not text. */
async function removeExtras({ entries }: ProjectTree, place: string): Promise<boolean> {
  const extras = await findExtras({ folder: place, entries }, MAX_CHANGES);
  if (extras === undefined || extras.length > MAX_CHANGES) return false;
  for (const path of extras) {
    if (path.includes("\uFFFD")) return false;
    await removeTree(join(place, path));
  }
  return true;
}

/** A job that has changed the mode of a folder may have put things out of our reach there. */
function hasMode(spot: Place, mode: number): boolean {
  return look(spot)?.mode === mode;
}
