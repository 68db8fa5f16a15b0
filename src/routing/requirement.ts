/**
 * Requirements as text: what a job asks of a worker, and the sentence that says why it still waits.
 * Private to src/routing; its public names are exported by mod.ts.
 */

/** Every worker has this tag, so a job that names no tag runs anywhere. */
export const GENERAL = "GENERAL";

/** A requirement taken apart again: every tag must match, and `pinned` allows one worker only. */
export interface Need {
  readonly tags: readonly string[];
  readonly pinned: number | undefined;
}

/**
 * A requirement class as one string: `GPU+HIGH_MEM`, or `GPU@7` when pinned to worker 7. Requirements
 * that ask for the same have the same key, whatever their order and repetitions.
 *
 * @param tags each `[A-Za-z0-9_.:-]{1,64}` (checked where pipelines are read), so `+` and `@` are free to separate
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

/** Why a class of jobs runs or waits. Counts are of workers unless they say slots. */
export type Reason =
  | {
      readonly kind: "no-capable-worker";
      readonly need: Need;
      /** The tags that no worker has; if each tag is somewhere but never together, the combination (`GPU+HIGH_MEM`). */
      readonly missing: readonly string[];
      /** How many workers have each tag of the need. Of the pinned worker alone, if pinned. */
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
      /** How many of the capable workers take nothing new. */
      readonly draining: number;
      /** How many others have lost their connection. */
      readonly away: number;
    }
  | { readonly kind: "free"; readonly need: Need };

/** A reason as the sentence that people read in `titan status`: lower case, no full stop. */
export function describe(reason: Reason): string {
  const { tags, pinned } = reason.need;
  const general = tags.length === 1 && tags[0] === GENERAL;
  const wanted = tags.join("+");
  const place = pinned === undefined ? undefined : `worker ${pinned}`;
  switch (reason.kind) {
    case "free":
      return `${place ?? `a worker${general ? "" : ` with ${wanted}`}`} has a free slot`;
    case "no-free-slot": {
      const { capable, slots } = reason;
      const group = capable === 1 ? "the only worker" : `the ${capable} workers`;
      const which = place ?? (general ? group : `${group} with ${wanted}`);
      const idle = (["draining", "away"] as const).map((how) => (reason[how] === 0 ? "" : capable === 1 ? `, ${how}` : `, ${reason[how]} ${how}`));
      return `no free slot on ${which} (${slots} ${slots === 1 ? "slot" : "slots"}${idle.join("")})`;
    }
    case "no-capable-worker": {
      if (reason.workers === 0) return place === undefined ? "no worker is connected" : `${place} is not connected`;
      if (place !== undefined) return `${place} does not have ${reason.missing.join("+")}`;
      if (tags.length === 1) return `no worker has ${wanted}`;
      const counts = reason.having.map(({ tag, workers }) => `${workers} ${workers === 1 ? "has" : "have"} ${tag}`);
      return `no worker has ${wanted} (${counts.join(", ")})`;
    }
  }
}
