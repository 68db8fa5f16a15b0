/**
 * Lesson 19: parts of the page that are made again only when something that they show has changed.
 * While a pointer moves the canvas, the fields and the text stay the very same objects, and `patch`
 * does not look into them.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
interface Kept {
  readonly deps: readonly unknown[];
  readonly made: unknown;
}

const kept = new Map<string, Kept>();
/** Nodes and edges of the largest board, and a few of the one before. */
const MAX_KEPT = 50_000;

/** What `make` gave when it was called last with these very `deps`. */
export function memo<T>(name: string, deps: readonly unknown[], make: () => T): T {
  const before = kept.get(name);
  const isSame = before !== undefined && before.deps.length === deps.length &&
    deps.every((each, at) => each === before.deps[at]);
  if (isSame) return before.made as T;
  const made = make();
  if (kept.size >= MAX_KEPT) kept.clear();
  kept.set(name, { deps, made });
  return made;
}
