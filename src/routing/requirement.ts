/**
 * Requirements as text: the demands of a job on a worker, and the sentence that says why the job
 * still waits. Private to src/routing; mod.ts exports its public names.
 *
 * Test: test/08-routing.test.ts
 */
import { plural } from "#base";

/** Every worker has this tag, so a job that names no tag runs anywhere. */
export const GENERAL = "GENERAL";

/** A requirement taken apart again: every tag must match, and `pinned` allows one worker only. */
export interface Need {
  readonly tags: readonly string[];
  readonly pinned: number | undefined;
}

/**
 * A requirement class as one string: `GPU+HIGH_MEM`, or `GPU@7` when pinned to worker 7. Equal
 * requirements have the same key, whatever their order and repetitions.
 *
 * @param tags each `[A-Za-z0-9_.:-]{1,64}` (checked where pipelines are read), so `+` and `@` are
 *   free to separate them
 * @param pinned id of the only worker allowed: an integer ≥ 0
 * @example
 * ```ts
 * import { requirementKey } from "#routing";
 * requirementKey(["HIGH_MEM", "GPU", "GPU"]) // => 'GPU+HIGH_MEM'
 * requirementKey([]) // => 'GENERAL'
 * requirementKey(["GENERAL"], 7) // => 'GENERAL@7'
 * ```
 */
// #region requirementKey
export function requirementKey(tags: readonly string[], pinned?: number): string {
  // Most jobs ask for nothing. Each is asked for its key several times, so no set is made for it.
  if (tags.length === 0 && pinned === undefined) return GENERAL;
  const wanted = [...new Set(tags)].filter((tag) => tag !== GENERAL).sort();
  const key = wanted.length === 0 ? GENERAL : wanted.join("+");
  return pinned === undefined ? key : `${key}@${pinned}`;
}
// #endregion

/** The inverse of `requirementKey`. */
export function parseKey(key: string): Need {
  const at = key.lastIndexOf("@");
  if (at < 0) return { tags: key.split("+"), pinned: undefined };
  return { tags: key.slice(0, at).split("+"), pinned: Number(key.slice(at + 1)) };
}

/**
 * Begins tags that nobody can give and nobody is shown: what a worker has to understand besides
 * having its tags (`~services`, lesson 14).
 */
export const HIDDEN = "~";

/** A key without hidden tags, as people know it. */
export function plainKey(key: string): string {
  if (!key.includes(HIDDEN)) return key;
  const { tags, pinned } = parseKey(key);
  return requirementKey(tags.filter((tag) => !tag.startsWith(HIDDEN)), pinned);
}

/** Why a class of jobs runs or waits. Counts are of workers unless they say slots. */
export type Reason =
  | {
      readonly kind: "no-capable-worker";
      readonly need: Need;
      /** The tags that no worker has; if each is somewhere but never together, `GPU+HIGH_MEM`. */
      readonly missing: readonly string[];
      /** The number of workers with each tag of the need. Of the pinned worker alone, if pinned. */
      readonly having: readonly { readonly tag: string; readonly workers: number }[];
      /** Workers looked at: all, or for a pinned need one or none. */
      readonly workers: number;
    }
  | {
      readonly kind: "no-free-slot";
      readonly need: Need;
      readonly capable: number;
      /** Slots of the capable workers, the draining ones' included. */
      readonly slots: number;
      /** The number of capable workers that take nothing new. */
      readonly draining: number;
      /** The number of others that have lost their connection. */
      readonly away: number;
    }
  | { readonly kind: "free"; readonly need: Need };

/** A reason as the sentence that people read in `titan status`: lower case, no full stop. */
export function describe(reason: Reason): string {
  const { tags, pinned } = reason.need;
  const general = tags.length === 1 && tags[0] === GENERAL;
  const wanted = tags.join("+");
  const only = pinned === undefined ? undefined : `worker ${pinned}`;
  switch (reason.kind) {
    case "free":
      return `${only ?? (general ? "a worker" : `a worker with ${wanted}`)} has a free slot`;
    case "no-free-slot": {
      const { capable, slots } = reason;
      const group = capable === 1 ? "the only worker" : `the ${capable} workers`;
      const which = only ?? (general ? group : `${group} with ${wanted}`);
      const idle = (["draining", "away"] as const)
        .filter((how) => reason[how] > 0)
        .map((how) => (capable === 1 ? `, ${how}` : `, ${reason[how]} ${how}`));
      return `no free slot on ${which} (${plural(slots, "slot")}${idle.join("")})`;
    }
    case "no-capable-worker":
      return lackText(reason, only);
  }
}

type Lack = Extract<Reason, { kind: "no-capable-worker" }>;

function lackText({ need, missing, having, workers }: Lack, only: string | undefined): string {
  const wanted = need.tags.join("+");
  if (workers === 0) return only === undefined ? NO_WORKER : `${only} is not connected`;
  if (only !== undefined) return `${only} does not have ${missing.join("+")}`;
  if (need.tags.length === 1) return `no worker has ${wanted}`;
  const counts = having.map((count) => {
    return `${count.workers} ${count.workers === 1 ? "has" : "have"} ${count.tag}`;
  });
  return `no worker has ${wanted} (${counts.join(", ")})`;
}

const NO_WORKER = "no worker is connected";
