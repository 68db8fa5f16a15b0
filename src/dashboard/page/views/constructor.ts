/**
 * Lesson 19: the constructor: a pipeline as a canvas and as text, side by side. A change of one is
 * there at once in the other; it can be run from here, and watched.
 *
 *     document.ts   the text, read; slots.ts the places in it; fields.ts every key that there is,
 *                   job-fields.ts those of a job, field.ts what is known of each
 *     edit.ts       a value set or taken out, as splices (splice.ts) of YAML (write.ts)
 *     jobs.ts       jobs added, renamed, removed; edges.ts connected; paste.ts copied, pasted
 *     values.ts     the pipeline as a value; typescript.ts, python.ts as programs
 *     graph.ts      places and edges; problems.ts what is wrong, and where
 *     files.ts      scripts that go with it; trial.ts one job, tested alone
 *     board.ts      all of that as one state, with undo; drafts.ts keeps it
 *                                                     (up to here no file knows a browser)
 *     desk.ts       what is looked at; deeds.ts what a person does; tend.ts checks and runs,
 *                   saves.ts saves and opens, in one of the boxes.ts
 *     area.ts       the canvas: canvas.ts draws it, far.ts from afar, map.ts
 *                   small; pointer.ts and keys.ts move it
 *     panel.ts      the fields, each a control (controls.ts)
 *     code.ts       the texts, in an editor.ts; files-tab.ts the files
 *     question.ts   what the watched run asks a person
 *     toolbar.ts    the buttons; dialogs.ts and trial-dialog.ts the windows, each a modal.ts
 *     memo.ts       keeps what has not changed
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { canvas } from "../build/area.ts";
import { code } from "../build/code.ts";
import { currentDesk, deskOf, type Desk } from "../build/desk.ts";
import { dialogs } from "../build/dialogs.ts";
import { listen } from "../build/keys.ts";
import { panel } from "../build/panel.ts";
import { memo } from "../build/memo.ts";
import { hiddenValues, unschedulable, type Crew, type Finding } from "../build/problems.ts";
import { question } from "../build/question.ts";
import { follow } from "../build/saves.ts";
import { tend } from "../build/tend.ts";
import { draftLine, runLine, toolbar } from "../build/toolbar.ts";
import { pageWith } from "../parts/page.ts";
import { answerOf, type State } from "../state.ts";
import { h } from "../vdom.ts";
import type { Context, Need, View } from "./view.ts";

let now: Context;

export const builder: View = {
  name: "Constructor",
  needs(): Need[] {
    const { run } = currentDesk();
    return [
      { type: "get", path: "workers", everyMs: 3_000 },
      { type: "get", path: "pools", everyMs: 9_000 },
      ...(run === undefined ? [] : [{ type: "run" as const, id: run }]),
    ];
  },
  render(state, context) {
    now = context;
    const own = deskOf(state);
    const desk = { ...own, findings: findings(own, state) };
    const { board } = desk;
    const { href } = context.url;
    const statuses = own.run === undefined ? undefined : state.jobs.get(own.run);
    const hook = {
      mount: () => {
        void now.act(() => follow(now));
        return listen(() => now);
      },
      update: () => tend(now),
    };
    return pageWith({ heading: "Constructor", beside: [draftLine(desk, context),
      runLine(desk, state, context)] },
    h("div", { class: "build", hook },
      toolbar(desk, context), h("div", { class: "build-stage" },
        canvas(desk, context, statuses), question(desk, state, context)),
      memo("panel", [board.document, board.files, board.selection, board.refusal, desk.findings,
        desk.run, href], () => panel(desk, context)),
      memo("code", [board.text, board.files, board.refusal, desk.tab, desk.file, desk.from,
        desk.findings, href],
        () => code(desk, context)),
      dialogs(desk, state, context)));
  },
};

/** What the master has found, and jobs that no worker could run: it would wait for one. */
function findings({ findings: found, board }: Desk, state: State): readonly Finding[] {
  const workers = answerOf<Crew["workers"]>(state, "workers");
  const pools = answerOf<Crew["pools"]>(state, "pools");
  const never = memo("never", [board.document, tagsOf(workers), tagsOf(pools)], () =>
    (workers === undefined ? [] : unschedulable(board.document, { workers, pools: pools ?? [] })));
  const hidden = memo("hidden", [board.document], () => hiddenValues(board.document));
  return memo("findings", [found, never, hidden], () => [...found, ...never, ...hidden]);
}

/** The answer is another object every few seconds; its tags hardly ever change. */
function tagsOf(crew: Crew["workers"] | undefined): string | undefined {
  return crew?.map(({ tags }) => tags.join(",")).join("\n");
}
