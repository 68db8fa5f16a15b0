/**
 * Lesson 19: Runs: all of them, the newest first, filtered by what the address says; several can
 * be cancelled or retried at once.
 *
 * Test: test/19-dashboard.views.test.ts
 */
import { plural } from "#base";
import { lookOf } from "../parts/badge.ts";
import { barChart } from "../parts/chart.ts";
import { filterOf, findRuns, PERIODS, STATUSES, type Found } from "../parts/filters.ts";
import { barsOf, HISTORY, historyOf } from "../parts/history.ts";
import { icon } from "../parts/icon.ts";
import { nothingRan } from "../parts/first-run.ts";
import { button, empty, pageWith } from "../parts/page.ts";
import { virtualRows } from "../parts/rows.ts";
import { runRow } from "../parts/run-row.ts";
import { withQuery } from "../router.ts";
import type { Run } from "../rows.ts";
import type { State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context, View } from "./view.ts";

/** Pixels, as style/runs.css has it. */
const ROW_HEIGHT = 44;
/** The ids of the runs that are ticked, in `state.ui`. */
const CHOSEN = "runs chosen";
const NONE: ReadonlySet<string> = new Set();
/** Requests at a time: the master has other work. */
const AT_ONCE = 6;
const OVER = new Set(["COMPLETED", "FAILED", "CANCELLED"]);

export const runs: View = {
  name: "Runs",
  render(state, context) {
    const { runs: all, now } = state;
    if (all === undefined) return pageWith({ heading: "Runs" }, h("p", null, "Loading…"));
    if (all.size === 0) return pageWith({ heading: "Runs" }, nothingRan(context));
    const found = findRuns(all, filterOf(context.url.searchParams), now);
    const count = found.runs.length;
    const beside = h("span", { class: "soft" },
      `${count.toLocaleString()} ${count === 1 ? "run" : "runs"}`);
    return pageWith({ heading: "Runs", beside },
      filters(found, context),
      toolbar(state, found.runs, context),
      found.runs.length === 0
        ? empty("No run is like this.", h("a", { href: "/runs" }, "Show all runs"))
        : [heads(), runList(state, found.runs, context)]);
  },
  keys: (state, context) => [
    { keys: "/", label: "Filter by name", run: () => field()?.focus() },
    { keys: "x", label: "Tick this run", run: () => tickFocused(state, context) },
  ],
};

const field = (): HTMLElement | null => document.querySelector("#runs-name");

// #region filters
function filters({ counts, total }: Found, { url, navigate }: Context): VNode {
  const status = url.searchParams.get("status") ?? "";
  const since = url.searchParams.get("since") ?? "";
  const set = (name: string) => (event: Event): void =>
    navigate(withQuery(url, { [name]: (event.target as HTMLInputElement).value }),
      { replace: true });
  const chip = (value: string, text: string, count: number): VNode => h("li", { key: text },
    h("a", {
      href: withQuery(url, { status: value }), class: `chip state-${lookOf(value || "none")}`,
      "aria-current": status === value ? "true" : undefined,
    }, value === "" ? null : icon(lookOf(value)), `${text} `,
      h("span", null, count.toLocaleString())));
  return h("div", { class: "filters" },
    h("ul", { class: "chips", "aria-label": "State" },
      chip("", "All", total),
      STATUSES.filter((one) => counts.has(one) || one === status)
        .map((one) => chip(one, capital(one), counts.get(one) ?? 0))),
    h("label", { class: "filter-field" }, icon("search"), h("input", {
      id: "runs-name", type: "search", placeholder: "Name or id", "aria-label": "Name or id",
      value: url.searchParams.get("name") ?? "", oninput: set("name"), spellcheck: "false",
    })),
    h("select", {
      "aria-label": "Submitted", class: "select", onchange: set("since"), value: since,
    },
      PERIODS.map(([key, text]) =>
        h("option", { value: key, key, selected: key === since }, text))));
}
// #endregion

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1).toLowerCase();
}

// #region toolbar
function tickedOf({ ui }: State): ReadonlySet<string> {
  return (ui[CHOSEN] as ReadonlySet<string> | undefined) ?? NONE;
}

function choose({ dispatch }: Context, value: ReadonlySet<string>): void {
  dispatch({ type: "ui", key: CHOSEN, value });
}

function tick(chosen: ReadonlySet<string>, context: Context, id: string): void {
  const next = new Set(chosen);
  if (!next.delete(id)) next.add(id);
  choose(context, next);
}

function tickFocused(state: State, context: Context): void {
  const row = document.activeElement?.closest("[data-row]");
  const id = row?.querySelector("a.run-link")?.textContent;
  if (id) tick(tickedOf(state), context, id);
}

/** What can be done with the runs that are ticked; of those that are shown no longer, nothing. */
function toolbar(state: State, shown: readonly Run[], context: Context): VNode {
  const chosen = tickedOf(state);
  const meant = shown.filter(({ id }) => chosen.has(id));
  const running = meant.filter(({ status }) => !OVER.has(status));
  const retryable = meant.filter(({ status }) => status === "FAILED" || status === "CANCELLED");
  const isAll = shown.length > 0 && meant.length === shown.length;
  return h("div", { class: "toolbar", role: "toolbar", "aria-label": "With the ticked runs" },
    h("label", { class: "tick-all" }, h("input", {
      type: "checkbox", checked: isAll, indeterminate: meant.length > 0 && !isAll,
      "aria-label": `Tick all ${plural(shown.length, "run")}`,
      onchange: () => choose(context, new Set(isAll ? [] : shown.map(({ id }) => id))),
    }), meant.length === 0 ? "None ticked" : `${meant.length} ticked`),
    button(`Cancel ${running.length || ""}`.trim(), () => void all("cancel", running, context), {
      disabled: running.length === 0, label: `Cancel ${plural(running.length, "run")}`,
    }),
    button(`Retry ${retryable.length || ""}`.trim(), () => void all("retry", retryable, context), {
      disabled: retryable.length === 0, label: `Retry ${plural(retryable.length, "run")}`,
    }));
}

async function all(what: "cancel" | "retry", meant: readonly Run[], context: Context):
  Promise<void> {
  const runsText = plural(meant.length, "run");
  const verb = `${capital(what)} ${runsText}`;
  const text = what === "cancel"
    ? "Their jobs are stopped, and what has not started will not start."
    : "Whatever did not complete gets another chance.";
  const isSure = await context.confirm({
    title: `${verb}?`, text, verb, danger: what === "cancel",
  });
  if (!isSure) return;
  await context.act(async () => {
    const waiting = [...meant];
    const failures: string[] = [];
    const work = async (): Promise<void> => {
      for (let run = waiting.pop(); run !== undefined; run = waiting.pop()) {
        await context.api.post(`runs/${encodeURIComponent(run.id)}/${what}`)
          .catch((error: Error) => failures.push(error.message));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    choose(context, new Set());
    if (failures.length === 0) return;
    throw new Error(`${failures.length} of ${runsText} refused: ${failures[0]}`);
  }, what === "cancel" ? `${runsText} cancelled` : `${runsText} on their way again`);
}
// #endregion

/** Above the columns of runRow(), for the eye: each cell says itself what it is. */
function heads(): VNode {
  const cells =
    [["done", "Jobs ended"], ["when", "Submitted"], ["took", "Took"], ["past", "Last runs"]];
  return h("div", { class: "run-heads", "aria-hidden": true, key: "heads" },
    h("span"), h("span", null, "State"), h("span", null, "Run"), h("span", { class: "run-bar" }),
    cells.map(([name, text]) => h("span", { key: name, class: `run-${name}` }, text)));
}

function runList(state: State, shown: readonly Run[], context: Context): Child {
  const history = historyOf(state.runs!);
  const look = { now: state.now, chosen: tickedOf(state), context };
  const before = rows;
  rows = new Map();
  return virtualRows(state, context, {
    name: "runs", count: shown.length, rowHeight: ROW_HEIGHT, label: "Runs",
    render(index) {
      const run = shown[index]!;
      const row = rowOf(run, { ...look, own: history.get(run.name) ?? [], known: before.get(run) });
      rows.set(run, row);
      return row.tree;
    },
  });
}

interface Row {
  readonly like: string;
  readonly chosen: ReadonlySet<string>;
  readonly tree: VNode;
}

/** Of the last picture: while a person scrolls most of the next one is the same. */
let rows = new Map<Run, Row>();

interface RowLook {
  readonly now: number;
  readonly chosen: ReadonlySet<string>;
  readonly context: Context;
  readonly own: readonly Run[];
  readonly known: Row | undefined;
}

function rowOf(run: Run, { now, chosen, context, own, known }: RowLook): Row {
  const like = `${now} ${own.map(({ id, status }) => `${id} ${status}`).join()}`;
  if (known?.like === like && known.chosen === chosen) return known;
  const isChosen = chosen.has(run.id);
  const before = h("input", {
    type: "checkbox", class: "run-tick", checked: isChosen, "aria-label": `Tick ${run.id}`,
    onchange: () => tick(chosen, context, run.id),
  });
  const tree = runRow(run, { now, before, isChosen, after: past(own, run, now) });
  return { like, chosen, tree };
}

function past(own: readonly Run[], { name }: Run, now: number): VNode {
  const failed = own.filter(({ status }) => status === "FAILED").length;
  const label = `The last ${plural(own.length, "run")} of ${name}: ${failed} failed`;
  return h("span", { class: "run-past" }, barChart(barsOf(own, now), HISTORY, label));
}
