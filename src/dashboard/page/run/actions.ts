/**
 * Lesson 19: what a person may do with a run, or with one of its jobs. Only what can be done now
 * is offered; what cannot be undone is asked twice.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { namesOfGate } from "../gates.ts";
import { button } from "../parts/page.ts";
import { pathTo } from "../router.ts";
import type { Gate, Job, Run } from "../rows.ts";
import { answerOf, type State } from "../state.ts";
import { h, type Child } from "../vdom.ts";
import type { Context } from "../views/view.ts";

const OPEN: ReadonlySet<string> = new Set(["RUNNING", "SERVING", "PAUSED"]);
const OPEN_JOB: ReadonlySet<string> = new Set(["PENDING", "RUNNING", "WAITING"]);

/** The state of the page that remembers which question is open. */
const SURE = "run.sure";

export function runButtons(run: Run, state: State, context: Context): Child {
  const path = `runs/${encodeURIComponent(run.id)}`;
  const did = (work: Promise<unknown>, done: string): void => {
    context.dispatch({ type: "ui", key: SURE, value: undefined });
    void context.act(() => work, done);
  };
  const isOpen = OPEN.has(run.status);
  const lost = (run.jobs.FAILED ?? 0) + (run.jobs.DEAD ?? 0) + (run.jobs.CANCELLED ?? 0);
  return [
    isOpen && !run.cancelling ? sure(state, context, {
      key: "cancel", text: "Cancel", question: "Cancel the whole run",
      run: () => did(context.api.post(`${path}/cancel`), `${run.id} is being cancelled`),
    }) : null,
    lost > 0 ? button("Retry", () => did(
      context.api.post(`${path}/retry`), `What did not complete in ${run.id} gets another chance`,
    ), { key: "retry", label: "Retry what did not complete" }) : null,
    button("Duplicate", () => void context.act(async () => {
      const made = await context.api.post<{ run: string }>(`${path}/duplicate`);
      context.navigate(`/runs/${encodeURIComponent(made.run)}`);
    }), { key: "duplicate", label: "Submit the same pipeline again" }),
  ];
}

export function jobButtons(run: Run, job: Job, { state, context }: {
  state: State; context: Context;
}): Child {
  const path = `runs/${encodeURIComponent(run.id)}`;
  const isOpen = OPEN_JOB.has(job.status);
  const gate = gateOf(state, run.id, job.id);
  return [
    gate === undefined ? null : h("a", {
      key: "answer", class: "button button-main", href: pathTo(["approvals"], { gate: gate.id }),
      "aria-label": `Answer the question of ${job.id}`,
    }, "Answer…"),
    isOpen && !job.cancelling ? sure(state, context, {
      key: `cancel ${job.id}`, text: "Cancel", question: `Cancel ${job.id}`,
      run: () => {
        context.dispatch({ type: "ui", key: SURE, value: undefined });
        void context.act(() =>
          context.api.post(`${path}/jobs/${encodeURIComponent(job.id)}/cancel`));
      },
    }) : null,
    isOpen ? null : button("Retry from here", () => void context.act(
      () => context.api.post(`${path}/retry`, { from: job.id }),
      `${job.id} runs again, and all that comes after it`,
    ), { key: "retry-from", label: `Retry ${job.id} and all that comes after it` }),
  ];
}

/** What a person is asked behind this job. */
function gateOf(state: State, run: string, job: string): Gate | undefined {
  return answerOf<Gate[]>(state, "gates")?.find(({ id }) => {
    const names = namesOfGate(id);
    return names.run === run && names.job === job;
  });
}

interface Question {
  readonly key: string;
  readonly text: string;
  readonly question: string;
  run(): void;
}

/** A button; pressed, it becomes a question with two buttons. */
function sure(state: State, { dispatch }: Context, { key, text, question, run }: Question): Child {
  const ask = (value: string | undefined): void => dispatch({ type: "ui", key: SURE, value });
  if (state.ui[SURE] !== key) {
    return button(text, () => ask(key), { key, kind: "danger", label: question });
  }
  return [
    button(`${question}?`, run, { key: `${key} yes`, kind: "danger", label: `Yes, ${question}` }),
    button("No", () => ask(undefined), { key: `${key} no`, label: "No, go on" }),
  ];
}
