/**
 * Lesson 19: the twin of the graph: the same jobs as a table, for people who read rather than look.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { durationText } from "#base";
import { listTree } from "../lists/list.ts";
import { badge } from "../parts/badge.ts";
import { exact, timeOfDay } from "../parts/time.ts";
import type { Job } from "../rows.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import { jobName, type RunJobs } from "./jobs.ts";

/** Pixels; style/run.css has the same. */
const JOB_ROW = 36;

export interface TableProps {
  readonly run: string;
  readonly jobs: RunJobs;
  readonly now: number;
  readonly chosen: number | undefined;
  choose(job: number): void;
}

const HEADS = ["Job", "State", "Attempt", "Worker", "Started", "Took", "After", "Why"];

export function tableTree({ run, jobs: { rows }, now, chosen, choose }: TableProps): VNode {
  return listTree({
    key: "table", class: "job-table", role: "table", label: `jobs of ${run}`,
    rows: rows.length, rowHeight: JOB_ROW, chosen,
    head: h("div", { class: "job-row job-head", role: "row", "aria-rowindex": 1 },
      HEADS.map((head) => h("span", { key: head, role: "columnheader" }, head))),
    row: (at) => h("div", {
      key: rows[at]!.id, role: "row", "aria-rowindex": at + 2,
      class: `job-row${at === chosen ? " is-chosen" : ""}`, onclick: () => choose(at),
    }, cellsOf(rows[at]!, now, at === chosen)),
  });
}

function cellsOf(job: Job, now: number, isChosen: boolean): VNode[] {
  const { id, status, attempt, worker, startedAt, dependsOn } = job;
  const cell = (name: string, ...content: Child[]): VNode =>
    h("span", { key: name, role: "cell", class: `cell-${name}` }, ...content);
  return [
    cell("id", h("button", {
      type: "button", class: "link", "aria-label": jobName(job), title: id,
      "aria-current": isChosen ? "true" : undefined,
    }, id)),
    cell("state", badge(status)),
    cell("attempt", attempt === 0 ? "" : attempt),
    cell("worker", worker),
    cell("started", startedAt === null ? "" : h("time", { title: exact(startedAt) },
      timeOfDay(startedAt))),
    cell("took", tookOf(job, now)),
    cell("after", dependsOn.slice(0, 3).join(", "),
      dependsOn.length > 3 ? ` and ${dependsOn.length - 3} more` : ""),
    cell("why", whyOf(job)),
  ];
}

/** How long the latest attempt has taken, up to now if it goes on. */
export function tookOf({ status, startedAt, tookMs }: Job, now: number): string {
  if (startedAt === null || tookMs === null) return "";
  return durationText(status === "RUNNING" ? Math.max(0, now - startedAt) : tookMs);
}

/** Why it does not run, or why it failed, in the words of the master. */
export function whyOf({ status, reason, failure }: Job): string {
  if (failure === null) return reason;
  const now = status === "PENDING" ? reason : status === "RUNNING" ? "runs again" : "";
  return now === "" ? failure.message : `${now}; before that: ${failure.message}`;
}
