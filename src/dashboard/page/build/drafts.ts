/**
 * Lesson 19: drafts: what has been drawn and not been run. They are saved two seconds after a
 * change, with the places of the nodes; the latest versions of each are kept.
 *
 *     titan:drafts:NAME              the versions, the latest first: number, time, token, parts
 *     titan:draft-parts:NAME:TOKEN.0 the text and the places of one of them, in pieces; or files
 *
 * They are in the cluster's store, so that everybody has them; where it has none, in the browser.
 * A save names the version that it started from. If there is a later one, nothing is written, and
 * the person decides. The pieces are written first and the list last: half a save is no draft.
 * Files change less often than texts: versions with the same files share them.
 *
 * Invariant: the list is only replaced as long as it is the one that was read, in one command of
 * the store: of two saves at the same moment one is refused.
 * Test: test/19-dashboard.build.board.test.ts
 */
import { NO_FILES, type Files } from "./files.ts";
import type { Positions } from "./graph.ts";

export interface DraftContent {
  readonly text: string;
  readonly positions: Positions;
  readonly files: Files;
  /** The run that it was opened from, whose folder it uses. */
  readonly from?: string | undefined;
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
  readonly files?: FilesPlace;
}

interface FilesPlace {
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
  /** Only if the key has this value still, or none. Whether it had. */
  swap(key: string, was: string | undefined, value: string): Promise<boolean>;
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
  /** Where files are that were saved or loaded here. */
  readonly #kept = new WeakMap<Files, FilesPlace>();

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

  async versions(name: string): Promise<DraftVersion[]> {
    return versionsIn(await this.#box.get(HEADS + name));
  }

  /** The latest version, or the one of this number. */
  async load(name: string, number?: number): Promise<Draft | undefined> {
    const all = await this.versions(name);
    const found = all.find(({ version }) => version === (number ?? all[0]?.version));
    if (found === undefined) return undefined;
    const [packed, files] = await Promise.all([
      this.#read(name, found), this.#files(name, found.files),
    ]);
    if (packed === undefined || files === undefined) return undefined;
    const { text, positions, from } = JSON.parse(packed) as Packed;
    const places = new Map(positions.map(([key, x, y]) => [key, { x, y }]));
    return { name, version: found.version, text, positions: places, files, from };
  }

  async #files(name: string, place: FilesPlace | undefined): Promise<Files | undefined> {
    if (place === undefined) return NO_FILES;
    const packed = await this.#read(name, place);
    if (packed === undefined) return undefined;
    const files = new Map(JSON.parse(packed) as [string, string][]);
    this.#kept.set(files, place);
    return files;
  }

  /**
   * Saves the next version, and returns its number.
   *
   * @throws {DraftConflict} somebody else has saved since `version`
   */
  async save(
    name: string, content: DraftContent, from: { version: number; now: number },
  ): Promise<number> {
    const head = await this.#box.get(HEADS + name);
    const all = versionsIn(head);
    if (all.length > 0 && all[0]!.version !== from.version) {
      const theirs = await this.load(name);
      if (theirs !== undefined && isSame(theirs, content)) return theirs.version;
      throw new DraftConflict(name);
    }
    // #region swap
    const places = [...content.positions].map(([key, { x, y }]) => [key, x, y] as const);
    const packed: Packed = { text: content.text, positions: places, from: content.from };
    const files = await this.#placeOf(name, content.files, all);
    const text = await this.#write(name, JSON.stringify(packed));
    const version = from.version + 1;
    const mine = { version, savedAt: from.now, ...text, ...(files !== undefined && { files }) };
    const kept = [mine, ...all].slice(0, MAX_VERSIONS);
    if (!await this.#box.swap(HEADS + name, head, JSON.stringify(kept))) {
      await this.#forget(name, mine, all);
      throw new DraftConflict(name);
    }
    // #endregion
    for (const old of all.slice(MAX_VERSIONS - 1)) await this.#forget(name, old, kept);
    return version;
  }

  /** Where these files are: a version that is still there may have them already. */
  async #placeOf(
    name: string, files: Files, all: readonly DraftVersion[],
  ): Promise<FilesPlace | undefined> {
    if (files.size === 0) return undefined;
    const known = this.#kept.get(files);
    if (known !== undefined && all.some((each) => each.files?.token === known.token)) return known;
    const place = await this.#write(name, JSON.stringify([...files]));
    this.#kept.set(files, place);
    return place;
  }

  async #write(name: string, text: string): Promise<FilesPlace> {
    const token = this.#token();
    const parts = text.match(new RegExp(`[\\s\\S]{1,${PART_CHARS}}`, "g")) ?? [];
    for (const [at, part] of parts.entries()) {
      await this.#box.set(partKey(name, token, at), part);
    }
    return { token, parts: parts.length };
  }

  async #read(name: string, { token, parts }: FilesPlace): Promise<string | undefined> {
    const keys = Array.from({ length: parts }, (_, at) => partKey(name, token, at));
    const found = await Promise.all(keys.map((key) => this.#box.get(key)));
    return found.includes(undefined) ? undefined : found.join("");
  }

  async remove(name: string): Promise<void> {
    const all = await this.versions(name);
    await this.#box.remove(HEADS + name);
    for (const version of all) await this.#forget(name, version, []);
  }

  /** The pieces of a version, but for files that others of these versions have. */
  async #forget(
    name: string, { token, parts, files }: DraftVersion, others: readonly DraftVersion[],
  ): Promise<void> {
    const isShared = others.some((each) => each.files?.token === files?.token);
    for (const place of [{ token, parts }, ...(files === undefined || isShared ? [] : [files])]) {
      for (let at = 0; at < place.parts; at++) {
        await this.#box.remove(partKey(name, place.token, at));
      }
    }
  }
}

/** A value that is none of ours is no draft. */
function versionsIn(head: string | undefined): DraftVersion[] {
  try {
    const kept: unknown = JSON.parse(head ?? "[]");
    return Array.isArray(kept) ? kept as DraftVersion[] : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

function isSame(a: DraftContent, b: DraftContent): boolean {
  return a.text === b.text && a.from === b.from && a.files.size === b.files.size &&
    [...a.files].every(([path, text]) => b.files.get(path) === text);
}

interface Packed {
  readonly from?: string | undefined;
  readonly text: string;
  readonly positions: readonly (readonly [key: string, x: number, y: number])[];
}

function partKey(name: string, token: string, part: number): string {
  return `${PARTS}${name}:${token}.${part}`;
}
