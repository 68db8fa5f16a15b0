/**
 * Lesson 19: History: the whole cluster as it was at any moment that the log can tell.
 *
 * Test: test/19-dashboard.views.test.ts
 */
import { badge } from "../parts/badge.ts";
import { button, empty, loading, page, problem, section } from "../parts/page.ts";
import { virtualRows } from "../parts/rows.ts";
import { runRow } from "../parts/run-row.ts";
import { slotBar } from "../parts/worker.ts";
import { barTree, sayPlace } from "../past/bar.ts";
import type { MomentRows } from "../past/fold.ts";
import { LogFacts } from "../past/log.ts";
import { factsTree, stepsTree, type Step } from "../past/told.ts";
import { Latest, Travel } from "../past/travel.ts";
import type { Worker } from "../rows.ts";
import type { State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context, View } from "./view.ts";

/** Jobs with one requirement, of runs that went on. */
interface QueueRow {
  readonly need: string;
  readonly ready: number;
  readonly waiting: number;
  readonly running: number;
}

interface ClusterRows extends MomentRows {
  readonly workers: readonly Worker[];
  readonly queue: readonly QueueRow[];
}

interface Parts {
  readonly facts: LogFacts;
  readonly travel: Travel;
  readonly moment: Latest<ClusterRows>;
  readonly step: Latest<Step>;
}

let parts: Parts | undefined;
let current: Context;

function partsOf(context: Context): Parts {
  current = context;
  parts ??= makeParts();
  parts.travel.follow(context.url);
  return parts;
}

function makeParts(): Parts {
  const redraw = (): void =>
    current.dispatch({ type: "ui", key: "past", value: performance.now() });
  const get = (path: string): Promise<unknown> => current.api.get(path);
  const facts = new LogFacts(get, redraw);
  const travel: Travel = new Travel(facts, {
    context: () => current, redraw, rested: () => sayPlace(travel, current),
  });
  return {
    facts, travel,
    moment: new Latest({ get, redraw }), step: new Latest({ get, redraw }),
  };
}

export const past: View = {
  name: "History",
  render(state, context) {
    const { facts, travel, moment, step } = partsOf(context);
    facts.grow(state.seq);
    if (facts.span === undefined && facts.problem === undefined) {
      return page("History", h("p", { class: "loading" }, "Loading…"));
    }
    if (facts.span?.last === 0) {
      return page("History", empty("Nothing has happened yet.",
        "Each fact of the log will be here, from a worker that comes to a run that ends."));
    }
    const seq = facts.seqOf(travel.place);
    const stepPath = `history/step?seq=${seq}`;
    if (facts.span !== undefined) moment.want(`history/at?seq=${seq}`);
    if (facts.span !== undefined && travel.isResting) step.want(stepPath);
    return page("History",
      barTree({
        travel, context, label: "Facts of the log", live: "/",
        problem: problemTree(facts, moment, travel),
      }),
      h("div", { class: "columns past-told" },
        factsTree(travel, "facts of the log"), stepsTree(step.answerTo(stepPath))),
      rows(state, context, moment.value));
  },
};

/** The log may have been compacted, or be out of reach. */
function problemTree(facts: LogFacts, moment: Latest<ClusterRows>, travel: Travel): Child {
  const message = facts.problem ?? moment.problem?.message;
  if (message === undefined) return null;
  return problem(message,
    button("Try again", () => facts.again()),
    button("Earliest moment", () => void facts.look().then(() => travel.go(1))));
}

function rows(state: State, context: Context, found: ClusterRows | undefined): Child {
  if (found === undefined) return loading(state, "history");
  const { runs, workers, queue, at, seq } = found;
  return [
    h("div", { class: "columns", key: "cluster" },
      section("Workers", workers.length === 0
        ? h("p", { class: "soft" }, "No worker was connected.")
        : h("ul", { class: "queue" }, workers.map(workerLine))),
      section("Queue", queue.length === 0
        ? h("p", { class: "soft" }, "No job waited or ran.")
        : h("ul", { class: "queue" }, queue.map(queueLine)))),
    section("Runs", runs.length === 0 ? h("p", { class: "soft" }, "There was no run.")
      : virtualRows(state, context, {
        name: "past", label: "Runs at this moment", count: runs.length, rowHeight: RUN_ROW,
        render: (index) => runRow(runs[index]!, { now: at, moment: seq }),
      })),
  ];
}

/** Pixels; style/runs.css has the same. */
const RUN_ROW = 44;

function workerLine({ name, state, slots, running, tags }: Worker): VNode {
  return h("li", { key: name, "data-row": true },
    h("strong", null, name), badge(state),
    h("span", { class: "grow soft" }, tags.join(", ")), slotBar(running, slots, name));
}

function queueLine({ need, ready, waiting, running }: QueueRow): VNode {
  const counts = Object.entries({ ready, waiting, running }).filter(([, count]) => count > 0);
  return h("li", { key: need, "data-row": true }, h("strong", { class: "grow" }, need),
    counts.map(([name, count]) => `${count} ${name}`).join(", "));
}
