/**
 * Lesson 24: which code a program can reach.
 *
 *     main.js ── import { a } from "#x" ──▶ x/mod.js ── export { a } from "./a.js" ──▶ a.js
 *                                                    ╌╌ export { b } from "./b.js"      b.js stays
 *
 * Mark and sweep, as a garbage collector does it, on names: an entry wants all that it has, a
 * module gives the statements that hold the wanted names (slice.ts), and these want names of other
 * modules. Modules and statements that nobody wants are not shipped.
 *
 * Invariants: a module that is not there is an error here, and never on the machine of somebody
 * else; where the names cannot be told (`import * as`, a dynamic import whose result goes
 * elsewhere), all are wanted.
 * Left out: members of classes. A class is shipped whole.
 * Test: test/24-packaging.test.ts
 */
import { posix } from "node:path";
import { slice } from "./slice.ts";
import type { Names } from "./statements.ts";

/** Where modules are. */
export interface Modules {
  /** The compiled text of a file, without comments; undefined if there is none. */
  read(file: string): string | undefined;
  /** "#log" → "dist/log/mod.js". */
  readonly imports: ReadonlyMap<string, string>;
}

// #region reach
/** What has to be shipped for these programs: by file, the text that they can reach. */
export function reach(entries: readonly string[], modules: Modules): Map<string, string> {
  const shipped = new Map<string, string>();
  const texts = new Map<string, string>();
  const wanted = new Map<string, Names>();
  const waiting = new Set<string>(); // for a slice with all that is wanted of them now
  const want = (file: string, names: Names, by: string): void => {
    const text = texts.get(file) ?? modules.read(file);
    if (text === undefined) {
      throw new Error(`Cannot pack ${file}: ${by} needs it, and it is not there`);
    }
    texts.set(file, text);
    // #exercise reach
    const before = wanted.get(file);
    const after = union(before, names);
    if (before !== undefined && sizeOf(after) === sizeOf(before)) return;
    wanted.set(file, after);
    waiting.delete(file); // and to the end: more may be wanted meanwhile
    waiting.add(file);
    // #end-exercise
  };
  for (const entry of entries) want(entry, "all", "the caller");
  for (const file of waiting) {
    waiting.delete(file);
    const kept = slice(texts.get(file)!, wanted.get(file)!);
    shipped.set(file, kept.code);
    for (const { specifier, names } of kept.imports) {
      if (!specifier.startsWith("node:")) want(resolve(file, specifier, modules), names, file);
    }
  }
  return shipped;
}
// #endregion

function union(before: Names | undefined, names: Names): Names {
  if (before === "all" || names === "all") return "all";
  return new Set([...(before ?? []), ...names]);
}

const sizeOf = (names: Names): number => (names === "all" ? Infinity : names.size);

function resolve(file: string, specifier: string, modules: Modules): string {
  if (specifier.startsWith(".")) return posix.join(posix.dirname(file), specifier);
  const target = modules.imports.get(specifier);
  if (target !== undefined) return target;
  throw new Error(`Cannot pack ${file}: it imports ${specifier}, which package.json does not name`);
}
