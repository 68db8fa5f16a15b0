/**
 * Says why jobs wait, to a person who reads lines: once per job, and again only when the reason
 * changes.
 *
 *     each look:  b no worker has GPU     c no free slot on …     d no free slot on …
 *     second look, the same ──▶ "b: no worker has GPU"   "c, d: no free slot on …"
 *
 * Jobs with one reason share a line. It is normal that all slots are taken, so that is said once
 * while it lasts, and not for each job that joins the queue meanwhile.
 *
 * Invariants: a job that waits for a moment only is not mentioned; the cost does not grow with the
 * run.
 * Test: test/cli.text.test.ts
 */
import type { WaitKind } from "#wire";
import { listText, oneLine } from "./text.ts";

/** Jobs that are asked about at a time: a screen holds fewer, and a longer list helps nobody. */
export const MAX_ASKED = 100;
/** Jobs of one reason that are named. */
const MAX_NAMED = 3;

export interface Wait {
  readonly job: string;
  readonly kind: WaitKind;
  readonly reason: string;
}

interface Known {
  readonly key: string;
  said: boolean;
}

export class Waits {
  #known = new Map<string, Known>();
  /** Reasons that have been said, and that some job still has. */
  #inForce = new Set<string>();

  /** The lines to say after another look: the names of jobs, and their reason. */
  look(waits: readonly Wait[]): { jobs: string; reason: string }[] {
    const known = new Map<string, Known>();
    const groups = new Map<string, { jobs: string[]; reason: string }>();
    for (const wait of waits) {
      // The news of the parents already tells about a job that waits for its parents.
      if (wait.kind === "parents" || wait.kind === "start") continue;
      const key = keyOf(wait);
      const before = this.#known.get(wait.job);
      const seen = before?.key === key ? before : undefined;
      known.set(wait.job, seen ?? { key, said: false });
      if (seen === undefined || seen.said) continue;
      seen.said = true;
      if (wait.kind === "slots" && this.#inForce.has(key)) continue;
      const group = groups.get(key) ?? { jobs: [], reason: oneLine(wait.reason) };
      group.jobs.push(wait.job);
      groups.set(key, group);
    }
    this.#known = known;
    this.#inForce = new Set([...known.values()].filter(({ said }) => said).map(({ key }) => key));
    return [...groups.values()].map(({ jobs, reason }) => ({
      jobs: listText(jobs, MAX_NAMED),
      reason,
    }));
  }
}

/** A second less to wait, or one more slot somewhere, is not another reason. */
function keyOf({ kind, reason }: Wait): string {
  return `${kind} ${reason.replace(/\b\d+(\.\d+)?\b/g, "#")}`;
}
