/**
 * Lesson 19: one run: graph, timeline, table and log, with one selection that the address has.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { shownBoard } from "../graph/graph.ts";
import { warmPainter } from "../graph/painter.ts";
import { SMALL_RUN } from "../graph/model.ts";
import { twinTree } from "../lists/twin.ts";
import { focusLog } from "../logs/log.ts";
import { badge, STATES } from "../parts/badge.ts";
import { inSight } from "../parts/in-sight.ts";
import { button, loading, pageWith, problem } from "../parts/page.ts";
import { ago, took } from "../parts/time.ts";
import type { Artifact } from "../run/about.ts";
import { jobButtons, runButtons } from "../run/actions.ts";
import { definitionPath } from "../run/definition.ts";
import { findTree } from "../run/find.ts";
import { jobName } from "../run/jobs.ts";
import { panelTree } from "../run/panel.ts";
import { partTree } from "../run/parts.ts";
import { sceneOf, type Scene } from "../run/scene.ts";
import { addressOf, RUN_VIEWS, selectionOf, type RunView } from "../run/selection.ts";
import { withQuery } from "../router.ts";
import type { Job, JobStatus, Run } from "../rows.ts";
import { answerOf, type State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context, Need, Shortcut, View } from "./view.ts";

const NAMES: Readonly<Record<RunView, string>> = {
  graph: "Graph", timeline: "Timeline", table: "Table", log: "Log", definition: "Definition",
  events: "Events",
};
/** Views in which every job of a small run has an element. */
const WITH_JOBS: ReadonlySet<RunView> = new Set(["graph", "timeline", "table"]);
/** What is typed into the search box, and the result that Enter takes. */
const FIND = "run.find";
const FIND_AT = "run.find.at";

export const run: View = {
  name: "Run",
  title: ({ params }) => params["run"]!,
  needs({ params, url }) {
    const id = params["run"]!;
    const { view, job, tab } = selectionOf(url);
    const needs: Need[] = [{ type: "run", id }];
    const isPast = url.searchParams.has("at");
    if (view === "definition") needs.push({ type: "get", path: definitionPath(id) });
    // Why it waits changes without a change of the job: others have taken the worker.
    if (job !== undefined && forgotten !== id && !isPast) {
      needs.push({ type: "get", path: jobPath(id, job), everyMs: WHY_MS });
    }
    if (job !== undefined && tab === "result") {
      needs.push({ type: "get", path: artifactsPath(id), everyMs: ARTIFACTS_MS });
    }
    return needs;
  },
  render(state, context) {
    const id = context.params["run"]!;
    if (context.url.searchParams.has("at")) return pastTree(state, context);
    const rows = state.jobs.get(id);
    const found = state.runs?.get(id) ?? lastRun(id);
    if (rows === undefined || found === undefined) {
      // It starts while the jobs are on their way.
      warmPainter();
      const path = `runs/${encodeURIComponent(id)}`;
      return pageWith({ heading: id }, loading(state, path),
        state.loaded.get(path)?.error?.status !== NOT_FOUND ? null : h("p", null,
          h("a", { href: withQuery(context.url, { at: "1" }) }, "Look for it in the log"),
          ", which remembers runs that the master has forgotten."));
    }
    last = found;
    return pageTree(sceneOf(state, context, { run: found, rows }));
  },
  keys,
};

const NOT_FOUND = 404;
const WHY_MS = 2_000;
const ARTIFACTS_MS = 10_000;

/** A run that was forgotten while somebody looks at it is shown as it was. */
let last: Run | undefined;
let forgotten: string | undefined;

function lastRun(id: string): Run | undefined {
  return last?.id === id ? last : undefined;
}

function jobPath(id: string, job: string): string {
  return `runs/${encodeURIComponent(id)}/jobs/${encodeURIComponent(job)}`;
}

function artifactsPath(id: string): string {
  return `artifacts?run=${encodeURIComponent(id)}`;
}

/** Its code comes when somebody travels. */
let travel: typeof import("../past/run.ts") | undefined;
let coming: Promise<void> | undefined;

/** The run as it was. */
function pastTree(state: State, context: Context): VNode {
  const id = context.params["run"]!;
  if (travel === undefined) {
    coming ??= context.act(async () => {
      travel = await import("../past/run.ts");
      context.dispatch({ type: "ui", key: "past", value: "code" });
    });
    return pageWith({ heading: id }, h("p", { class: "loading" }, "Loading…"));
  }
  const { scene: past, bar, below } = travel.pastParts(state, context);
  if (past === undefined) return pageWith({ heading: id }, bar);
  const { run: own, rows, now } = past;
  return pageTree(sceneOf({ ...state, now }, context, { run: own, rows, past }),
    { bar, below });
}

function pageTree(scene: Scene, past?: { bar: Child; below: Child }): VNode {
  const { state, context, run: own, selection, jobs, choose } = scene;
  const isForgotten = !scene.isPast && state.runs !== undefined && !state.runs.has(own.id);
  if (!scene.isPast) forgotten = isForgotten ? own.id : undefined;
  const needsTwin = jobs.rows.length > SMALL_RUN || !WITH_JOBS.has(selection.view);
  const panel = selection.job === undefined ? null : panelOf(scene);
  return pageWith({
    heading: own.id,
    beside: [badge(own.status), scene.isPast ? null : runButtons(own, state, context)],
    below: [
      own.name, ", submitted ", ago(own.submittedAt, state.now), ", ",
      own.endedAt === null ? "running for " : "took ",
      took(own.submittedAt, own.endedAt, state.now), counts(own),
    ],
  },
    isForgotten ? problem("The master has forgotten this run, as it does with old ones: this is " +
      "what was known of it last.") : null,
    own.reason === undefined || own.reason === "" ? null : h("p", { class: "note" }, own.reason),
    past?.bar,
    h("div", { class: "run-tools" },
      h("nav", { class: "tabs", "aria-label": "Views of the run", hook: inSight },
        RUN_VIEWS.map((view) => h("a", {
          key: view, class: "tab", href: scene.address({ view, line: undefined }),
          "aria-current": view === selection.view ? "page" : undefined,
        }, NAMES[view]))),
      h("span", { class: "run-tools-space" }),
      scene.isPast ? null : h("a", {
        class: "button", href: nowAddress(scene), onclick: (event: MouseEvent) => {
          if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          void travelNow(state, context);
        },
      }, "Time travel"),
      selection.view === "graph" ? zoomButtons() : null, findBox(scene)),
    h("div", { class: `run-body${panel === null ? "" : " has-panel"}` },
      h("div", { class: `run-part run-${selection.view}`, key: selection.view }, partTree(scene)),
      panel),
    needsTwin ? twinTree({
      run: own.id, jobs: jobs.rows, name: (job) => jobName(jobs.rows[job]!), choose,
    }) : null,
    past?.below);
}

/** Where time travel begins: now, as far as the page has been told. */
function nowAddress({ state, context }: Pick<Scene, "state" | "context">): string {
  return withQuery(context.url, { at: String(state.seq) });
}

/** Rows come before the numbers of their facts: the master knows which fact is the last one. */
async function travelNow({ seq }: State, { api, navigate, url }: Context): Promise<void> {
  const last = await api.get<{ last: number }>("history").then((span) => span.last, () => seq);
  navigate(withQuery(url, { at: String(Math.max(last, seq)) }));
}

function counts({ jobs }: Run): Child {
  return h("span", { class: "counts" }, STATES.map((status) => {
    const count = jobs[status as JobStatus] ?? 0;
    return count === 0 ? null : badge(status, `${count.toLocaleString()} ${status.toLowerCase()}`);
  }));
}

function zoomButtons(): Child {
  return h("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
    button("−", () => shownBoard()?.zoom(1 / 1.4), { label: "Zoom out" }),
    button("+", () => shownBoard()?.zoom(1.4), { label: "Zoom in" }),
    button("Fit", () => shownBoard()?.fit(), { label: "Show the whole graph" }));
}

function findBox({ state, context, jobs, choose }: Scene): VNode {
  const set = (key: string, value: unknown): void => context.dispatch({ type: "ui", key, value });
  return findTree({
    jobs, text: (state.ui[FIND] as string | undefined) ?? "",
    at: (state.ui[FIND_AT] as number | undefined) ?? 0,
    type(text) {
      set(FIND, text);
      set(FIND_AT, 0);
    },
    move: (at) => set(FIND_AT, at),
    choose(job) {
      choose(job);
      shownBoard()?.show(job, { isCentered: true });
    },
  });
}

function panelOf(scene: Scene): VNode {
  const { state, context, run: own, jobs, chosen, selection, address, isPast } = scene;
  if (chosen === undefined) {
    return h("section", { class: "panel", key: "panel" },
      problem(`This run ${isPast ? "had" : "has"} no job "${selection.job!}".`,
        h("a", { href: address({ job: undefined }) }, "Show the whole run")));
  }
  const job = isPast ? jobs.rows[chosen]! : withReason(jobs.rows[chosen]!,
    answerOf<{ job: Job }>(state, jobPath(own.id, selection.job!))?.job);
  const children = jobs.structure.flatMap(({ parents }, at) =>
    parents.includes(chosen) ? [jobs.rows[at]!] : []);
  return panelTree({
    run: own.id, job, children, selection, now: state.now, address,
    parents: jobs.structure[chosen]!.parents.map((parent) => jobs.rows[parent]!),
    artifacts: answerOf<Artifact[]>(state, artifactsPath(own.id)),
    buttons: isPast ? null : jobButtons(own, job, { state, context }), isPast,
  });
}

/** The row, with the latest words for why it waits. */
function withReason(row: Job, asked: Job | undefined): Job {
  return asked !== undefined && asked.status === row.status && asked.attempt === row.attempt
    ? { ...row, reason: asked.reason } : row;
}

function keys(state: State, context: Context): readonly Shortcut[] {
  const { url, params, navigate } = context;
  const selection = selectionOf(url);
  const go = (change: Parameters<typeof addressOf>[1]): void => navigate(addressOf(url, change));
  const first = [...state.jobs.get(params["run"]!)?.keys() ?? []][0];
  return [
    {
      keys: "l", label: "Output of the job, or of the run", run: () => {
        go(selection.job === undefined ? { view: "log" } : { tab: "log" });
        focusLog();
      },
    },
    {
      keys: "/", label: "Find a job",
      run: () => document.querySelector<HTMLElement>(".find-input")?.focus(),
    },
    { keys: "f", label: "Show the whole graph", run: () => shownBoard()?.fit() },
    {
      keys: "t", label: "Time travel, and back", run: () => {
        if (url.searchParams.has("at")) navigate(withQuery(url, { at: undefined }));
        else void travelNow(state, context);
      },
    },
    { keys: "Escape", label: "Close the job", run: () => go({ job: undefined }) },
    ...(selection.view === "graph" && first !== undefined ? [{
      keys: "n", label: "Into the graph, to its nodes", run: () => shownBoard()?.enter(),
    }] : []),
    ...RUN_VIEWS.map((view, at): Shortcut =>
      ({ keys: String(at + 1), label: NAMES[view], run: () => go({ view }) })),
  ];
}
