/**
 * Lesson 19: the row of buttons above the canvas, and the line about the run that is watched.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { badge } from "../parts/badge.ts";
import { icon } from "../parts/icon.ts";
import { button } from "../parts/page.ts";
import { pathTo } from "../router.ts";
import type { State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { arrange, redoNext, undoLast } from "./deeds.ts";
import { fitted, update, zoomed, type Desk } from "./desk.ts";
import { textAt, type JobKind } from "./document.ts";
import { brought } from "./pointer.ts";
import { listDrafts, openDraft, save, saveCopy } from "./saves.ts";
import { check, run } from "./tend.ts";

const TOOL_KINDS: readonly [JobKind, string, string][] = [
  ["task", "Task", "A script that runs and ends"],
  ["service", "Service", "A job that is meant to keep running"],
  ["gate", "Gate", "Waits for a person's yes"],
  ["call", "Call", "A function in a warm process"],
  ["agent", "Agent", "A job with durable steps"],
];

export function toolbar(desk: Desk, context: Context): VNode {
  const { board } = desk;
  const disabled = board.refusal !== undefined;
  // There is nothing to check or to start; the canvas says how to begin.
  const isIdle = disabled || board.document.jobs.length === 0;
  const hasServices = board.document.jobs.some(({ node }) => textAt(node, "type") === "service");
  const start = (deploy: boolean): void => void context.act(() => run(context, { deploy }));
  return h("div", { class: "build-toolbar", role: "toolbar", "aria-label": "Constructor" },
    h("div", { class: "build-row" }, TOOL_KINDS.map(([kind, name, title]) => h("button", {
      key: kind, type: "button", class: "button", "aria-label": `Add ${kind}`, title, disabled,
      ...brought(context, kind),
    }, icon("plus"), name))),
    h("div", { class: "build-row" },
      button("Undo", () => undoLast(context), { disabled: board.past.length === 0 }),
      button("Redo", () => redoNext(context), { disabled: board.future.length === 0 }),
      button("Arrange", () => arrange(context), { disabled }),
      button("Fit", () => void update(context, fitted)),
      button("−", () => void update(context, (now) => zoomed(now, 0.8)), { label: "Zoom out" }),
      button("+", () => void update(context, (now) => zoomed(now, 1.25)), { label: "Zoom in" })),
    h("div", { class: "build-row build-row-end" },
      button("Open…", () => {
        update(context, (now) => ({ ...now, dialog: "open" }));
        void context.act(() => listDrafts(context));
      }),
      button("Validate", () => void context.act(() => validate(context)), { disabled: isIdle }),
      hasServices ? button("Deploy", () => start(true), { disabled,
        label: "Deploy: the services become the cluster's" }) : null,
      button("Run", () => start(false), { kind: "main", disabled: isIdle })));
}

async function validate(context: Context): Promise<void> {
  const isValid = await check(context);
  const text = isValid ? "The pipeline is valid." : "The pipeline has problems.";
  context.announce(text);
  context.dispatch({ type: "notice", kind: isValid ? "done" : "problem", text });
}

/** The name of the draft, and how far it is saved. */
export function draftLine({ draft, board }: Desk, context: Context): Child {
  const { name, status, where, why } = draft;
  if (status === "conflict") {
    return h("div", { class: "problem", role: "alert" },
      h("p", null, `The draft ${name} was changed in another window meanwhile. ` +
        "Nothing of either is lost:"),
      button("Keep mine as a copy", () => void saveCopy(context)),
      button("Open theirs", () => void context.act(() => openDraft(context, name))),
      button("Replace theirs", () => void save(context, { anyway: true }), { kind: "danger" }));
  }
  if (name === "" && board.past.length === 0) return null;
  const words = {
    saved: `saved ${where}`, saving: "saving…", unsaved: "not saved yet",
    failed: `could not be saved: ${why}`,
  };
  return h("span", { class: "build-draft" }, name === "" ? "" : `Draft ${name}: `, words[status]);
}

/** What is watched here: the nodes have the colours of its jobs. */
export function runLine(desk: Desk, state: State, context: Context): Child {
  const { run: id } = desk;
  if (id === undefined) return null;
  const found = state.runs?.get(id);
  const isOver = found?.endedAt !== null && found !== undefined;
  return h("div", { class: "build-run", role: "group", "aria-label": "Run" },
    badge(found?.status ?? "PENDING"), h("a", { href: pathTo(["runs", id]) }, id),
    isOver ? null : button("Cancel run", () => void context.act(() =>
      context.api.post(`runs/${encodeURIComponent(id)}/cancel`)), { kind: "danger" }),
    button("Hide", () => void update(context, (now) => ({ ...now, run: undefined })),
      { kind: "quiet", label: "Stop watching this run here" }));
}
