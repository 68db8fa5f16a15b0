/**
 * Lesson 19: the journal of a job: what its steps have done and cost, and a new run that begins
 * with some of it. The address names the job: `?run=RUN&job=JOB`.
 *
 * Test: test/19-dashboard.approvals.test.ts
 */
import { pathTo, withQuery } from "../router.ts";
import type { Step } from "../rows.ts";
import { answerOf, type State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context, Need } from "../views/view.ts";
import { badge } from "./badge.ts";
import { dialog, ownerOf } from "./dialog.ts";
import { button, loading, namedRow, section } from "./page.ts";
import { took } from "./time.ts";

const FORK = "fork";
/** Of a result; all of it is in `titan agents steps`. */
const MAX_RESULT_CHARS = 2_000;
const NUMBERS = new Set(["Took", "Tokens", "Cost"]);
const LOOKS = { STARTED: "RUNNING", DONE: "COMPLETED", FAILED: "FAILED" } as const;

interface Fork {
  readonly step: Step;
  /** Another result for it, as JSON. Empty: its own. */
  readonly result: string;
  readonly error?: string;
}

interface Chosen {
  readonly run: string;
  readonly job: string;
}

function chosenOf({ url }: Context): Chosen | undefined {
  const [run, job] = [url.searchParams.get("run"), url.searchParams.get("job")];
  return run === null || job === null ? undefined : { run, job };
}

function pathOf({ run, job }: Chosen): string {
  return `runs/${encodeURIComponent(run)}/steps?job=${encodeURIComponent(job)}`;
}

export function stepNeeds(context: Context): Need[] {
  const chosen = chosenOf(context);
  return chosen === undefined ? [] : [{ type: "get", path: pathOf(chosen), everyMs: 2_000 }];
}

/** To the steps of a job, and back. */
export function stepsAddress({ url }: Context, job: Chosen | undefined): string {
  return withQuery(url, { run: job?.run, job: job?.job });
}

const STEP_HEADS = ["Step", "State", "Took", "Tokens", "Cost", "Result", ""];

export function stepsTree(state: State, context: Context): Child {
  const chosen = chosenOf(context);
  if (chosen === undefined) return null;
  const path = pathOf(chosen);
  const steps = answerOf<Step[]>(state, path);
  const heading = `Steps of ${chosen.job}`;
  const close = h("p", null, h("a", { href: stepsAddress(context, undefined) }, "Close the steps"));
  if (steps === undefined) return section(heading, close, loading(state, path));
  if (steps.length === 0) return section(heading, close, h("p", { class: "soft" }, "None yet."));
  return section(heading, close,
    h("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": heading },
      h("table", { class: "table" },
        h("thead", null, h("tr", null,
          STEP_HEADS.map((head) => h("th", {
            scope: "col", key: head, class: NUMBERS.has(head) ? "number" : undefined,
          }, head === "" ? null : head)))),
        h("tbody", null, steps.map((step) => row(step, state.now, context))))),
    forkDialog(chosen, state, context));
}

function row(step: Step, now: number, { dispatch }: Context): VNode {
  const { step: name, status, startedAt, endedAt, usage } = step;
  const fork = (): void => dispatch({ type: "ui", key: FORK, value: { step, result: "" } });
  const tokens = usage === null ? 0 : usage.tokensIn + usage.tokensOut;
  return namedRow(STEP_HEADS, { key: name, "data-row": true },
    h("th", { scope: "row", class: "mono" }, name),
    h("td", null, badge(LOOKS[status], status.toLowerCase())),
    h("td", { class: "number" }, took(startedAt, endedAt, now)),
    h("td", { class: "number" }, tokens.toLocaleString("en-GB")),
    h("td", { class: "number" }, usage === null ? "" : `${usage.usd.toFixed(4)} USD`),
    h("td", { class: "step-result mono" }, resultText(step)),
    h("td", null, status === "DONE"
      ? button("Fork…", fork, { kind: "quiet", label: `Fork behind ${name}…` }) : null));
}

function resultText({ result, blob, failure }: Step): string {
  if (failure !== "") return failure;
  if (blob !== null) return `a file of ${blob.size.toLocaleString("en-GB")} bytes`;
  return (JSON.stringify(result) ?? "").slice(0, MAX_RESULT_CHARS);
}

function forkDialog({ run }: Chosen, state: State, context: Context): Child {
  const fork = state.ui[FORK] as Fork | undefined;
  if (fork === undefined) return null;
  const { step: { step: name }, result, error } = fork;
  const set = (value: Fork | undefined): void => context.dispatch({ type: "ui", key: FORK, value });
  const title = `Fork behind ${name}?`;
  return dialog({ title, onclose: () => set(undefined) },
    h("h2", null, title),
    h("p", null, `A new run of the same pipeline. It has what the steps of ${run} up to ${name} ` +
      "have done, and runs the others."),
    h("label", { class: "field" }, h("span", null, `Another result for ${name}, as JSON`),
      h("input", {
        type: "text", value: result, placeholder: "as it is", spellcheck: "false",
        oninput: ({ target }: InputEvent) =>
          set({ step: fork.step, result: (target as HTMLInputElement).value }),
      })),
    error === undefined ? null : h("p", { class: "gate-error", role: "alert" }, error),
    h("div", { class: "dialog-buttons" },
      button("Not now", () => set(undefined)),
      button("Fork", (event) => {
        // As it stands in the window: the last key may not have been drawn yet.
        const { value } = ownerOf(event).querySelector("input")!;
        void send(run, { step: fork.step, result: value }, context);
      }, { kind: "main" })));
}

async function send(run: string, fork: Fork, context: Context): Promise<void> {
  const { step, result } = fork;
  const set = (value: Fork | undefined): void => context.dispatch({ type: "ui", key: FORK, value });
  const from = `${step.job}:${step.step}`;
  try {
    const other = result.trim() === "" ? {} : { set: { [from]: JSON.parse(result) as unknown } };
    const made = await context.api.post<{ run: string }>(
      `runs/${encodeURIComponent(run)}/fork`, { from, ...other });
    set(undefined);
    context.navigate(pathTo(["runs", made.run]));
  } catch (error) {
    const { message } = error as Error;
    set({ ...fork, error: error instanceof SyntaxError ? `The result is no JSON: ${message}`
      : message });
  }
}
