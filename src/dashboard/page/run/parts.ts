/**
 * Lesson 19: the views of a run: graph, timeline, table, merged log, definition, events.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { graphTree } from "../graph/graph.ts";
import { logTree } from "../logs/log.ts";
import { empty } from "../parts/page.ts";
import type { Job } from "../rows.ts";
import { timelineTree } from "../timeline/timeline.ts";
import { h, type Child, type Hook } from "../vdom.ts";
import { definitionTree } from "./definition.ts";
import { eventsTree } from "./events.ts";
import { readHistory } from "./history.ts";
import { historyKey, openedKey, type Scene } from "./scene.ts";
import { tableTree, tookOf } from "./table.ts";

export function partTree(scene: Scene): Child {
  const { state, run, jobs, chosen, choose, facts, selection } = scene;
  if (jobs.rows.length === 0) return empty("This run has no jobs.");
  const { now } = state;
  switch (selection.view) {
    case "graph": return graph(scene);
    case "timeline": return h("div", { key: "timeline part", hook: asksHistory(scene) },
      timelineTree({
        run: run.id, jobs, now, chosen, choose, attempts: scene.attempts,
      }));
    case "table": return tableTree({ run: run.id, jobs, now, chosen, choose });
    case "log": return mergedLog(scene);
    case "definition": return definitionTree(state, run.id);
    case "events": return h("div", { key: "events part", hook: asksHistory(scene) }, eventsTree({
      run: run.id, facts, isLoaded: scene.history !== undefined,
      note: scene.history?.note ?? "", job: selection.job,
    }));
  }
}

function graph({ state, context, run, jobs, opened, chosen, choose }: Scene): Child {
  const { rows } = jobs;
  return graphTree({
    run: run.id, jobs: jobs.structure, opened, chosen, choose,
    shown: (job) => {
      const row = rows[job]!;
      return { id: row.id, status: row.status, note: jobNote(row, state.now) };
    },
    open: (stack) => context.dispatch({
      type: "ui", key: openedKey(run.id), value: new Set(opened).add(stack),
    }),
  });
}

function jobNote(job: Job, now: number): string {
  const took = tookOf(job, now);
  if (job.attempt < 2) return took;
  return `${took}${took === "" ? "" : " · "}attempt ${job.attempt}`;
}

function mergedLog({ run, address, selection, isPast }: Scene): Child {
  const path = `/api/v1/runs/${encodeURIComponent(run.id)}/logs`;
  const isOpen = run.endedAt === null && !isPast;
  return logTree({
    label: `output of ${run.id}`, source: `${path}?as=json`, isOpen, line: selection.line,
    empty: "No job of this run has printed anything.", download: path,
    hrefOf: (line) => address({ line }),
  });
}

/** Runs whose old facts are on their way. */
const asked = new Set<string>();

/** The log is read when somebody looks at what it tells, and again where there is a gap since. */
function asksHistory(
  { run: { id }, history, context: { api, dispatch }, isPast }: Scene,
): Hook {
  return {
    mount: () => () => void asked.delete(id),
    update(): void {
      if (isPast || history !== undefined || asked.has(id)) return;
      asked.add(id);
      void readHistory(id, api).then((value) => {
        // Of a run that nobody looks at any more it would stay for ever.
        if (asked.delete(id)) dispatch({ type: "ui", key: historyKey(id), value });
      });
    },
  };
}
