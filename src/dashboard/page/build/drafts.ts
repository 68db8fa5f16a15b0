/**
 * Lesson 19: drafts: what has been drawn and not been run. They are saved two seconds after a
 * change, with the places of the nodes, and the latest versions of each are kept.
 *
 *     save(name, content, version)      `version` is the one that the person started from
 *        └─ another one is there ──▶ DraftConflict: nobody's work is overwritten unasked
 *
 * They are kept in this browser: each person's desk, not the cluster's store.
 *
 * Test: test/19-dashboard.build.board.test.ts
 */
import type { Positions } from "./graph.ts";

export interface DraftContent {
  readonly text: string;
  readonly positions: Positions;
}

export interface Draft extends DraftContent {
  readonly name: string;
  readonly version: number;
  readonly savedAt: number;
}

export class DraftConflict extends Error {
  override readonly name = "DraftConflict";
  readonly theirs: Draft;

  constructor(theirs: Draft) {
    super(`The draft ${theirs.name} was changed elsewhere meanwhile.`);
    this.theirs = theirs;
  }
}

/** As much of the browser's storage as is needed: tests have another one. */
export type Box = Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length">;

/** Enough to find what was there this morning. */
const MAX_VERSIONS = 20;
const PREFIX = "titan:drafts:";

interface Kept {
  readonly version: number;
  readonly savedAt: number;
  readonly text: string;
  readonly positions: readonly (readonly [string, number, number])[];
}

export class Drafts {
  readonly #box: Box;

  constructor(box: Box) {
    this.#box = box;
  }

  /** The names, the latest first. */
  names(): string[] {
    const found: { name: string; savedAt: number }[] = [];
    for (let at = 0; at < this.#box.length; at++) {
      const key = this.#box.key(at);
      if (!key?.startsWith(PREFIX)) continue;
      const name = key.slice(PREFIX.length);
      found.push({ name, savedAt: this.versions(name)[0]?.savedAt ?? 0 });
    }
    return found.sort((a, b) => b.savedAt - a.savedAt).map(({ name }) => name);
  }

  /** The latest first. A value that is none of ours is no draft. */
  versions(name: string): Draft[] {
    try {
      const kept = JSON.parse(this.#box.getItem(PREFIX + name) ?? "[]") as Kept[];
      return kept.map(({ version, savedAt, text, positions }) => ({
        name,
        version,
        savedAt,
        text,
        positions: new Map(positions.map(([key, x, y]) => [key, { x, y }])),
      }));
    } catch {
      return [];
    }
  }

  load(name: string): Draft | undefined {
    return this.versions(name)[0];
  }

  /**
   * Saves the next version, and returns its number.
   *
   * @throws {DraftConflict} somebody else has saved since `version`
   */
  save(
    name: string,
    { text, positions }: DraftContent,
    from: { version: number; now: number },
  ): number {
    const all = this.versions(name);
    const [theirs] = all;
    if (theirs !== undefined && theirs.version !== from.version) {
      if (theirs.text === text) return theirs.version;
      throw new DraftConflict(theirs);
    }
    const version = from.version + 1;
    const mine: Draft = { name, version, savedAt: from.now, text, positions };
    this.#put(name, [mine, ...all].slice(0, MAX_VERSIONS));
    return version;
  }

  remove(name: string): void {
    this.#box.removeItem(PREFIX + name);
  }

  /** Old versions give way if there is no room for them. */
  #put(name: string, versions: readonly Draft[]): void {
    const kept = versions.map(({ version, savedAt, text, positions }): Kept => ({
      version,
      savedAt,
      text,
      positions: [...positions].map(([key, { x, y }]) => [key, x, y]),
    }));
    for (let count = kept.length; ; count--) {
      try {
        this.#box.setItem(PREFIX + name, JSON.stringify(kept.slice(0, count)));
        return;
      } catch (error) {
        if (count <= 1) throw error;
      }
    }
  }
}
