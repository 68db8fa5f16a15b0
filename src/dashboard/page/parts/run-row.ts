/**
 * Lesson 19: a run as a row: its state, a link with its id, how far it is, and when.
 *
 * Test: test/19-dashboard.views.test.ts
 */
import { pathTo } from "../router.ts";
import type { Run } from "../rows.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import { badge } from "./badge.ts";
import { doneText, progress } from "./progress.ts";
import { ago, took } from "./time.ts";

export interface RunRowOptions {
  readonly now: number;
  /** Before everything else: a box to tick. */
  readonly before?: Child;
  /** Behind everything else: its pipeline's history. */
  readonly after?: Child;
  readonly isChosen?: boolean;
  /** A number of the log: the link leads to that moment. */
  readonly moment?: number;
}

export function runRow(
  run: Run, { now, before, after, isChosen = false, moment }: RunRowOptions,
): VNode {
  const { id, status, submittedAt, endedAt, jobs, cancelling, reason } = run;
  const word = cancelling && endedAt === null ? "cancelling" : undefined;
  return h("li", {
    key: id, "data-row": true, class: `run-row${isChosen ? " is-chosen" : ""}`,
  },
    before,
    h("span", { class: "run-state" }, badge(status, word)),
    h("a", {
      class: "run-link", href: pathTo(["runs", id], { at: moment?.toString() }),
      title: reason ?? id,
    }, id),
    h("span", { class: "run-bar" }, progress(jobs)),
    h("span", { class: "run-done" }, doneText(jobs)),
    h("span", { class: "run-when" }, ago(submittedAt, now)),
    h("span", { class: "run-took" }, took(submittedAt, endedAt, now)),
    after);
}
