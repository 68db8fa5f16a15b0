/**
 * Lesson 19: the jobs of a run on a line of time, a row each.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { listTree } from "../lists/list.ts";
import { lookOf } from "../parts/badge.ts";
import { icon } from "../parts/icon.ts";
import { durationText } from "#base";
import { exact } from "../parts/time.ts";
import type { Job } from "../rows.ts";
import { jobName, type RunJobs } from "../run/jobs.ts";
import { h, type VNode } from "../vdom.ts";
import type { Attempts } from "./attempts.ts";
import { barsOf, visibleBars, type Bar } from "./bars.ts";
import { criticalPath } from "./critical.ts";
import { ordered } from "./order.ts";
import { ticksOf, timeScale, type TimeScale } from "./scale.ts";

/** Pixels; style/run.css has the same. */
const TIME_ROW = 30;
const MOST_TICKS = 6;

export interface TimelineProps {
  readonly run: string;
  readonly jobs: RunJobs;
  readonly now: number;
  readonly attempts: Attempts;
  readonly chosen: number | undefined;
  choose(job: number): void;
}

export function timelineTree(props: TimelineProps): VNode {
  const { run, jobs: { rows, structure }, now, attempts, chosen, choose } = props;
  const { order, spans } = ordered(rows, { attempts, now });
  const scale = timeScale(spans);
  const critical = new Set(criticalPath(rows, (job) => structure[job]!.parents, now));
  return listTree({
    key: "timeline", class: "timeline", role: "list", label: `timeline of ${run}`,
    rows: rows.length, rowHeight: TIME_ROW, head: headOf(scale),
    chosen: chosen === undefined ? undefined : order.indexOf(chosen), chosenAs: chosen,
    row: (at) => {
      const number = order[at]!;
      const job = rows[number]!;
      return timeRow(job, {
        bars: visibleBars(barsOf(job, now, attempts.of(job.id, now)), scale.at),
        scale, isCritical: critical.has(number),
        isChosen: number === chosen, choose: () => choose(number),
      });
    },
  });
}

function percent(share: number): string {
  return `${(100 * share).toFixed(3)}%`;
}

/** The times above the rows, and where some are left out. */
function headOf(scale: TimeScale): VNode {
  const ticks = ticksOf(scale, MOST_TICKS).map((time) =>
    h("span", {
      key: `t${time}`, class: "tick", title: exact(time), style: { left: percent(scale.at(time)) },
    }, time === scale.from ? "0" : durationText(time - scale.from)));
  const folds = scale.folds.map(({ from, to, left, right }) => h("span", {
    key: `f${from}`, class: "fold", title: `nothing ran for ${durationText(to - from)}`,
    style: { left: percent(left), width: percent(right - left) },
  }, h("span", { class: "fold-text" }, durationText(to - from))));
  return h("div", { class: "time-head", "aria-hidden": "true" },
    h("span", { class: "time-name" }, "Since the start"),
    h("span", { class: "time-track" }, folds, ticks));
}

interface RowLook {
  readonly bars: readonly Bar[];
  readonly scale: TimeScale;
  readonly isCritical: boolean;
  readonly isChosen: boolean;
  choose(): void;
}

function timeRow(job: Job, { bars, scale, isCritical, isChosen, choose }: RowLook): VNode {
  const look = lookOf(job.status);
  const classes = ["time-row", isChosen ? "is-chosen" : "", isCritical ? "is-critical" : ""];
  return h(
    "div",
    {
      key: job.id,
      role: "listitem",
      class: classes.filter(Boolean).join(" "),
      onclick: choose,
    },
    h(
      "button",
      {
        type: "button",
        class: `time-name state-${look}`,
        "aria-label": jobName(job),
        title: job.id,
        "aria-current": isChosen ? "true" : undefined,
        "aria-description": isCritical ? "on the critical path" : undefined,
      },
      icon(look),
      h("span", { class: "time-id" }, job.id),
    ),
    h(
      "span",
      { class: "time-track" },
      scale.folds.map(({ from, left, right }) =>
        h("span", {
          key: `f${from}`,
          class: "fold",
          style: { left: percent(left), width: percent(right - left) },
        }),
      ),
      bars.map((bar, at) => barTree(bar, at, scale)),
    ),
  );
}

function barTree(bar: Bar, at: number, scale: TimeScale): VNode {
  const { kind, attempt, from, to, status, isOpen, merged } = bar;
  const [left, right] = [scale.at(from), scale.at(to)];
  const what = kind === "gate" ? "gate" : kind === "service" ? `service, start ${attempt}`
    : `attempt ${attempt}`;
  const some = merged === undefined ? what : `${merged} attempts, the last one ${attempt}`;
  const words = `${some}: ${status.toLowerCase()}, ${durationText(to - from)}`;
  return h("span", {
    key: at, class: `time-bar time-${kind} state-${lookOf(status)}${isOpen ? " is-open" : ""}`,
    title: `${words}, from ${exact(from)}`,
    style: { left: percent(left), width: percent(Math.max(0, right - left)) },
  }, h("span", { class: "time-words" }, words));
}
