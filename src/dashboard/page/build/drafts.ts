/**
 * Lesson 19: drafts: what has been drawn and not been run. They are saved two seconds after a
 * change, with the places of the nodes; the latest versions of each are kept.
 *
 *     titan:drafts:NAME              the versions, the latest first: number, time, token, parts
 *     titan:draft-parts:NAME:TOKEN.0 the text and the places of one of them, in pieces
 *
 * They are in the cluster's store, so that everybody has them; where it has none, in the browser.
 * A save names the version that it started from. If there is a later one, nothing is written, and
 * the person decides. The pieces are written first and the list last: half a save is no draft.
 *
 * Left out: a lock. Of two saves in the same few milliseconds the earlier one may be left out of
 * the list; the one who made it is told, unless their answer came before the other was written.
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
}

/** A version, without its text. */
export interface DraftVersion {
  readonly version: number;
  readonly savedAt: number;
  readonly token: string;
  readonly parts: number;
}

export interface DraftInfo {
  readonly name: string;
  /** The latest first. */
  readonly versions: readonly DraftVersion[];
}

export class DraftConflict extends Error {
  override readonly name = "DraftConflict";

  constructor(name: string) {
    super(`The draft ${name} was changed elsewhere meanwhile.`);
  }
}

/** Keys and texts: the cluster's store, or that of the browser. */
export interface Box {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
  remove(key: string): Promise<void>;
  keys(prefix: string): Promise<string[]>;
}

/** Enough to find what was there this morning. */
const MAX_VERSIONS = 20;
const HEADS = "titan:drafts:";
const PARTS = "titan:draft-parts:";
/** In UTF-8 at most three times as many bytes, and the master shows 64 KiB of a text. */
const PART_CHARS = 20_000;

export class Drafts {
  readonly #box: Box;
  readonly #token: () => string;

  constructor(box: Box, token: () => string) {
    this.#box = box;
    this.#token = token;
  }

  /** All of them, the latest first. */
  async list(): Promise<DraftInfo[]> {
    const keys = await this.#box.keys(HEADS);
    const all = await Promise.all(keys.map(async (key): Promise<DraftInfo> => {
      const name = key.slice(HEADS.length);
      return { name, versions: await this.versions(name) };
    }));
    const savedAt = ({ versions }: DraftInfo): number => versions[0]?.savedAt ?? 0;
    return all.filter(({ versions }) => versions.length > 0)
      .sort((a, b) => savedAt(b) - savedAt(a));
  }

  /** A value that is none of ours is no draft. */
  async versions(name: string): Promise<DraftVersion[]> {
    try {
      const kept: unknown = JSON.parse(await this.#box.get(HEADS + name) ?? "[]");
      return Array.isArray(kept) ? kept as DraftVersion[] : [];
    } catch (error) {
      if (error instanceof SyntaxError) return [];
      throw error;
    }
  }

  /** The latest version, or the one of this number. */
  async load(name: string, number?: number): Promise<Draft | undefined> {
    const all = await this.versions(name);
    const found = all.find(({ version }) => version === (number ?? all[0]?.version));
    if (found === undefined) return undefined;
    const keys = Array.from({ length: found.parts }, (_, at) => partKey(name, found.token, at));
    const parts = await Promise.all(keys.map((key) => this.#box.get(key)));
    if (parts.includes(undefined)) return undefined;
    const { text, positions } = JSON.parse(parts.join("")) as Packed;
    const places = new Map(positions.map(([key, x, y]) => [key, { x, y }]));
    return { name, version: found.version, text, positions: places };
  }

  /**
   * Saves the next version, and returns its number.
   *
   * @throws {DraftConflict} somebody else has saved since `version`
   */
  async save(
    name: string, { text, positions }: DraftContent, from: { version: number; now: number },
  ): Promise<number> {
    const all = await this.versions(name);
    if (all.length > 0 && all[0]!.version !== from.version) {
      const theirs = await this.load(name);
      if (theirs?.text === text) return theirs.version;
      throw new DraftConflict(name);
    }
    const places = [...positions].map(([key, { x, y }]) => [key, x, y] as const);
    const packed = JSON.stringify({ text, positions: places } satisfies Packed);
    const parts = packed.match(new RegExp(`[\\s\\S]{1,${PART_CHARS}}`, "g")) ?? [];
    const token = this.#token();
    for (const [at, part] of parts.entries()) {
      await this.#box.set(partKey(name, token, at), part);
    }
    const version = from.version + 1;
    const mine: DraftVersion = { version, savedAt: from.now, token, parts: parts.length };
    await this.#box.set(HEADS + name, JSON.stringify([mine, ...all].slice(0, MAX_VERSIONS)));
    for (const old of all.slice(MAX_VERSIONS - 1)) await this.#forget(name, old);
    const [latest] = await this.versions(name);
    if (latest?.token !== token) throw new DraftConflict(name);
    return version;
  }

  async remove(name: string): Promise<void> {
    const all = await this.versions(name);
    await this.#box.remove(HEADS + name);
    for (const version of all) await this.#forget(name, version);
  }

  async #forget(name: string, { token, parts }: DraftVersion): Promise<void> {
    for (let at = 0; at < parts; at++) await this.#box.remove(partKey(name, token, at));
  }
}

interface Packed {
  readonly text: string;
  readonly positions: readonly (readonly [key: string, x: number, y: number])[];
}

function partKey(name: string, token: string, part: number): string {
  return `${PARTS}${name}:${token}.${part}`;
}
