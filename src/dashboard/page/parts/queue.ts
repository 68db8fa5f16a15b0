/**
 * Lesson 19: what waits, grouped by why. Pure but for the picture.
 *
 * A job whose parents are still at work waits for nothing of the cluster's: it does not count.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { plural } from "#base";
import { pathTo } from "../router.ts";
import type { Job } from "../rows.ts";
import type { State } from "../state.ts";
import { h, type Child } from "../vdom.ts";
import { icon } from "./icon.ts";

export interface Waiting {
  readonly reason: string;
  readonly count: number;
  /** One of them, to look at. */
  readonly run: string;
  readonly job: string;
}

/** Reasons that many jobs may have; single ones, as times, are none of them. */
const SHARED = /^no |^is about|is not connected|does not have|cannot run/;
const MAX_GROUPS = 8;

/** The most frequent reason first. */
export function queueOf(jobs: State["jobs"]): Waiting[] {
  const groups = new Map<string, Waiting>();
  for (const [run, all] of jobs) {
    for (const job of all.values()) {
      if (!isQueued(job)) continue;
      const reason = plain(job.reason);
      const { count } = groups.get(reason) ?? { count: 0 };
      groups.set(reason, { reason, count: count + 1, run, job: job.id });
    }
  }
  return [...groups.values()].sort((a, b) => b.count - a.count).slice(0, MAX_GROUPS);
}

function isQueued({ status, reason }: Job): boolean {
  return status === "PENDING" && SHARED.test(reason);
}

/** What differs from job to job stands behind a semicolon: when a slot may get free. */
function plain(reason: string): string {
  const [first = ""] = reason.split(";");
  return first === "is about to start" ? "a slot is free: they are about to start" : first;
}

export function queueList(groups: readonly Waiting[]): Child {
  if (groups.length === 0) return h("p", { class: "soft" }, "Nothing waits for a worker.");
  return h("ul", { class: "queue" }, groups.map(({ reason, count, run, job }) =>
    h("li", { key: reason, "data-row": true }, icon("pending"),
      h("strong", null, plural(count, "job")), h("span", { class: "grow" }, reason),
      h("a", { href: pathTo(["runs", run], { job }) }, `such as ${job}`))));
}
