/**
 * Slots that somebody could take: free ones, and those of workers that are starting. Private to
 * src/scaling.
 *
 * Workers with the same tags are one kind. A class takes from the kinds with the fewest tags first,
 * so that a job that needs nothing leaves the GPU alone while there is another place.
 *
 * Invariant: a slot is given away once.
 * Cost: a class looks at the kinds that have its rarest tag, not at all of them. A thousand classes
 * and ten thousand workers are ten thousand looks in a real fleet, and not ten million.
 * Left out: the best assignment of all classes at once, which is a flow problem. Taking in turns is
 * wrong only for tags that overlap without containing one another (A+B and A+C), and then by a
 * worker too many, which retires again.
 * Test: test/13-scaling.test.ts
 */
import { invariant } from "#base";
import { GENERAL } from "#routing";

interface Kind {
  readonly key: string;
  readonly tags: ReadonlySet<string>;
  slots: number;
}

export class Supply {
  readonly #kinds = new Map<string, Kind>();
  /** Kinds by each of their tags; made when the first class asks. */
  #byTag: ReadonlyMap<string, readonly Kind[]> | undefined;

  /** Every kind must be known (with 0 slots, if need be) before the first `take`. */
  add(key: string, tags: readonly string[], slots: number): void {
    const kind = this.#kinds.get(key);
    if (kind !== undefined) kind.slots += slots;
    else this.#kinds.set(key, { key, tags: new Set([GENERAL, ...tags]), slots });
  }

  /** Takes up to `wanted` slots that have all these tags, and says how many it got. */
  take(tags: readonly string[], wanted: number): number {
    let left = wanted;
    for (const kind of this.#candidates(tags)) {
      if (left === 0) break;
      if (kind.slots === 0 || !tags.every((tag) => kind.tags.has(tag))) continue;
      const taken = Math.min(kind.slots, left);
      kind.slots -= taken;
      left -= taken;
    }
    return wanted - left;
  }

  /** The same, of one kind only. */
  takeFrom(key: string, wanted: number): number {
    const kind = this.#kinds.get(key);
    invariant(kind !== undefined, `there is no kind ${key}`);
    const taken = Math.min(kind.slots, wanted);
    kind.slots -= taken;
    return taken;
  }

  #candidates(tags: readonly string[]): readonly Kind[] {
    this.#byTag ??= this.#index();
    const lists = tags.map((tag) => this.#byTag!.get(tag) ?? []);
    return lists.reduce((best, list) => (list.length < best.length ? list : best));
  }

  #index(): Map<string, Kind[]> {
    // The order decides who gets what: it must not depend on who registered first.
    const kinds = [...this.#kinds.values()].sort(
      (a, b) => a.tags.size - b.tags.size || (a.key < b.key ? -1 : 1),
    );
    const byTag = new Map<string, Kind[]>();
    for (const kind of kinds) {
      for (const tag of kind.tags) {
        const list = byTag.get(tag);
        if (list === undefined) byTag.set(tag, [kind]);
        else list.push(kind);
      }
    }
    return byTag;
  }
}
