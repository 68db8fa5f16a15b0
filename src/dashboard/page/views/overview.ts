/**
 * Lesson 19: Overview: how busy the cluster is, its workers, what waits for them and why, the gates
 * that wait for people, and what ran lately.
 *
 * Test: test/19-dashboard.views.test.ts
 */
import { plural } from "#base";
import { lineChart } from "../parts/chart.ts";
import { nothingRan } from "../parts/first-run.ts";
import { loading, pageWith, section } from "../parts/page.ts";
import { queueList, queueOf } from "../parts/queue.ts";
import { runRow } from "../parts/run-row.ts";
import { ago } from "../parts/time.ts";
import { launchButtons, noWorker, workerCard } from "../parts/worker.ts";
import { pathTo } from "../router.ts";
import type { Gate, Pool, Run, Worker } from "../rows.ts";
import { hasStarts, sampleOf, throughput, waits } from "../samples.ts";
import { answerOf, WAITS, type State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context, Need, View } from "./view.ts";

/** Runs whose jobs the view follows, to say where they run and what they wait for. */
const MAX_FOLLOWED = 8;
/** Jobs of such a run: those of a larger one have a view of their own. */
const MAX_JOBS_SHOWN = 2_000;
/** A chart that has just begun has the width of a minute. */
const MIN_PLACES = 30;
const RECENT = 8;
const MAX_GATES = 5;

export const overview: View = {
  name: "Overview",
  needs: (_, { runs }): Need[] => [
    // As often as the frame asks for gates: all of them are one question.
    ...["workers", "pools", WAITS].map((path): Need => ({ type: "get", path, everyMs: 2_000 })),
    ...activeRuns(runs).map(({ id }): Need => ({ type: "run", id, brief: true })),
  ],
  render(state, context) {
    const pools = answerOf<Pool[]>(state, "pools") ?? [];
    return pageWith({ heading: "Overview", beside: launchButtons(pools, context) },
      tiles(state),
      section("Workers", workerCards(state, context)),
      h("div", { class: "columns" },
        section("Queue", queue(state)),
        section("Approvals", gates(state))),
      section("Recent runs", recent(state, context)));
  },
};

function activeRuns(runs: State["runs"]): Run[] {
  const found = [...(runs?.values() ?? [])].filter(({ status, jobs }) =>
    (status === "RUNNING" || status === "SERVING") &&
    Object.values(jobs).reduce((sum, count) => sum + count, 0) <= MAX_JOBS_SHOWN);
  return newest(found, MAX_FOLLOWED);
}

function newest(runs: Iterable<Run>, count: number): Run[] {
  return [...runs].sort((a, b) => b.submittedAt - a.submittedAt).slice(0, count);
}

// #region tiles
function tiles(state: State): VNode {
  const workers = answerOf<Worker[]>(state, "workers") ?? [];
  const slots = workers.reduce((sum, worker) => sum + worker.slots, 0);
  const { samples } = state;
  const now = sampleOf(state.runs?.values() ?? [], state.now).jobs;
  const rates = throughput(samples);
  // The mean of half a minute: single values jump.
  const last = rates.slice(-15);
  const rate = last.reduce((sum, value) => sum + value, 0) / Math.max(1, last.length);
  const seconds = waits(samples);
  const running = samples.map(({ jobs }) => jobs.RUNNING ?? 0);
  const pending = samples.map(({ jobs }) => jobs.PENDING ?? 0);
  return h("dl", { class: "tiles" },
    tile("Running", { value: now.RUNNING ?? 0, unit: `of ${plural(slots, "slot")}` }, running),
    tile("Finished", finished(round(rate)), rates),
    tile("Pending", counted(now.PENDING ?? 0), pending),
    tile("Wait", waitText(hasStarts(samples) ? seconds.at(-1) : undefined), seconds),
    tile("Failed", counted(failed(now)), samples.map(({ jobs }) => failed(jobs))));
}

function counted(count: number): { value: string; unit: string } {
  return { value: count.toLocaleString(), unit: count === 1 ? "job" : "jobs" };
}

function finished(value: string): { value: string; unit: string } {
  return { value, unit: value === "1" ? "job a minute" : "jobs a minute" };
}

/** Of a job, from when it could start until it did. */
function waitText(seconds: number | undefined): { value: string; unit: string } {
  if (seconds === undefined) return { value: "–", unit: "no start lately" };
  if (seconds < 1) return { value: String(Math.round(seconds * 1000)), unit: "ms to start" };
  return { value: round(seconds), unit: "s to start" };
}

function failed(jobs: Run["jobs"]): number {
  return (jobs.FAILED ?? 0) + (jobs.DEAD ?? 0);
}

function round(value: number): string {
  return value < 10 ? value.toFixed(1).replace(/\.0$/, "") : String(Math.round(value));
}

function tile(
  name: string, { value, unit }: { value: number | string; unit: string },
  line: readonly number[],
): VNode {
  const top = Math.max(0, ...line);
  const label = `${name}, at most the last five minutes: ${value} now, ${round(top)} at most`;
  return h("div", { class: `tile tile-${name.toLowerCase()}`, key: name },
    h("dt", null, name),
    h("dd", null, h("strong", null, value), " ", h("span", { class: "soft" }, unit)),
    h("dd", { class: "tile-chart" },
      lineChart(line, { label, places: Math.max(MIN_PLACES, line.length) })));
}
// #endregion

function workerCards(state: State, context: Context): Child {
  const found = answerOf<Worker[]>(state, "workers");
  if (found === undefined) return loading(state, "workers");
  if (found.length === 0) return noWorker(context);
  return h("ul", { class: "cards" },
    found.map((worker) => workerCard(worker, { state, context })));
}

function queue({ jobs, runs }: State): Child {
  const groups = queueOf(jobs);
  const isKnown = runs !== undefined && activeRuns(runs).every(({ id }) => jobs.has(id));
  if (groups.length > 0 || isKnown) return queueList(groups);
  return h("p", { class: "loading" }, "Loading…");
}

function gates(state: State): Child {
  const open = answerOf<Gate[]>(state, "gates");
  if (open === undefined) return loading(state, "gates");
  if (open.length === 0) return h("p", { class: "soft" }, "No gate waits for an answer.");
  return [
    h("ul", { class: "queue" }, open.slice(0, MAX_GATES).map(({ id, message, openedAt }) =>
      h("li", { key: id, "data-row": true, class: "gate-line" },
        h("a", { href: pathTo(["approvals"], { gate: id }) }, id), ago(openedAt, state.now),
        h("span", { class: "gate-line-message", title: message }, message)))),
    open.length > MAX_GATES ? all("/approvals", open.length, "gates") : null,
  ];
}

function recent({ runs, now }: State, context: Context): Child {
  if (runs === undefined) return h("p", { class: "loading" }, "Loading…");
  if (runs.size === 0) return nothingRan(context);
  return [
    h("ul", { class: "run-rows" },
      newest(runs.values(), RECENT).map((run) => runRow(run, { now }))),
    runs.size > RECENT ? all("/runs", runs.size, "runs") : null,
  ];
}

/** "All 2,000 runs" */
function all(href: string, count: number, what: string): VNode {
  return h("p", null, h("a", { href }, `All ${count.toLocaleString()} ${what}`));
}
