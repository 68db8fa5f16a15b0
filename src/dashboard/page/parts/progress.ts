/**
 * Lesson 19: how far a run is: one bar with a piece for each state, and the same in words.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { plural } from "#base";
import type { JobStatus, Run } from "../rows.ts";
import { h, type VNode } from "../vdom.ts";
import { lookOf } from "./badge.ts";

/** From what is done to what is still to come. */
const ORDER: readonly JobStatus[] = [
  "COMPLETED", "SKIPPED", "RUNNING", "WAITING", "FAILED", "DEAD", "CANCELLED", "PENDING",
];

export interface Piece {
  readonly status: JobStatus;
  readonly count: number;
}

/** Only what there is, in the order of the bar. Pure. */
export function piecesOf(jobs: Run["jobs"]): Piece[] {
  return ORDER.flatMap((status) => {
    const count = jobs[status] ?? 0;
    return count > 0 ? [{ status, count }] : [];
  });
}

/** "60 jobs: 12 completed, 2 running, 46 pending". Pure. */
export function countsText(jobs: Run["jobs"]): string {
  const pieces = piecesOf(jobs);
  const total = pieces.reduce((sum, { count }) => sum + count, 0);
  const words = pieces.map(({ status, count }) => `${count} ${status.toLowerCase()}`);
  return `${plural(total, "job")}: ${words.join(", ")}`;
}

/** "12 / 60" */
export function doneText(jobs: Run["jobs"]): string {
  const pieces = piecesOf(jobs);
  const total = pieces.reduce((sum, { count }) => sum + count, 0);
  const open = new Set<JobStatus>(["RUNNING", "WAITING", "PENDING"]);
  const done = pieces.reduce((sum, { status, count }) => sum + (open.has(status) ? 0 : count), 0);
  return `${done} / ${total}`;
}

export function progress(jobs: Run["jobs"]): VNode {
  const text = countsText(jobs);
  return h("div", { class: "progress", role: "img", "aria-label": text, title: text },
    piecesOf(jobs).map(({ status, count }) => h("span", {
      key: status, class: `back-${lookOf(status)}`, style: { "flex-grow": count },
    })));
}
