/**
 * Lesson 19: Approvals: questions that wait for a person, with what they are about, and a form.
 *
 * The view keeps all that a person has typed until the answer is accepted: an error, or a lost
 * connection, costs nobody a comment. There are no accounts, so people type their names, and the
 * browser remembers them.
 *
 * Test: test/19-dashboard.approvals.test.ts
 */
import { gatesByDeadline, namesOfGate, valuesOf, type Draft } from "../gates.ts";
import { command, button, empty, loading, page } from "../parts/page.ts";
import { ago, relative, exact } from "../parts/time.ts";
import { pathTo } from "../router.ts";
import type { Gate, GateAnswer, GateField } from "../rows.ts";
import { answerOf, type State } from "../state.ts";
import { h, type Child, type Hook, type VNode } from "../vdom.ts";
import type { Context, Shortcut, View } from "./view.ts";

const OPEN_GATES = "gates";
/** Where the browser remembers who sits in front of it. */
const NAME = "titan-name";

/** Letters of a question that is read as a text, and not as a heading. */
const LONG = 120;
/** The gate that the address names. */
const TO_SCREEN: Hook = {
  mount(card) {
    card.scrollIntoView({ block: "nearest" });
  },
};

const NOTHING: Draft = { comment: "", fields: {} };

export const approvals: View = {
  name: "Approvals",
  render(state, context) {
    const gates = answerOf<Gate[]>(state, OPEN_GATES);
    if (gates === undefined) return page("Approvals", loading(state, OPEN_GATES));
    if (gates.length === 0) {
      return page("Approvals", asked(context, gates), empty("No question waits for an answer.",
        "A gate opens behind a job that has ", command("hitl_message: Ship it?"),
        " in its pipeline."));
    }
    return page("Approvals", asked(context, gates), person(state, context),
      h("ul", { class: "gates" }, gatesByDeadline(gates).map((gate) =>
        gateCard(gate, state, context))));
  },
  keys: (state, context) => shortcuts(state, context),
};

/** A link that leads to a gate may be older than its answer. */
function asked({ url }: Context, gates: readonly Gate[]): Child {
  const id = url.searchParams.get("gate");
  if (id === null || gates.some((gate) => gate.id === id)) return null;
  const { run, job } = namesOfGate(id);
  return h("p", { class: "note" }, "This gate is not open any more: ",
    h("a", { href: pathTo(["runs", run], { job, tab: "about" }) }, id));
}

/** The gate in which the focus is, or that of the address, or else the most urgent one. */
function chosen(state: State, { url }: Context): Gate | undefined {
  const gates = gatesByDeadline(answerOf<Gate[]>(state, OPEN_GATES) ?? []);
  const focused = document.activeElement?.closest<HTMLElement>("[data-gate]")?.dataset["gate"];
  const named = focused ?? url.searchParams.get("gate");
  return gates.find(({ id }) => id === named) ?? gates[0];
}

function shortcuts(state: State, context: Context): readonly Shortcut[] {
  const move = (by: number): void => {
    const cards = [...document.querySelectorAll<HTMLElement>("[data-gate]")];
    const at = cards.findIndex((each) => each.contains(document.activeElement));
    cards[Math.min(Math.max(at + by, 0), cards.length - 1)]?.focus();
  };
  const press = (answer: Answer) => (): void => {
    const gate = chosen(state, context);
    if (gate !== undefined) void sendAnswer(gate, answer, context);
  };
  return [
    { keys: "j", label: "Next question", run: () => move(1) },
    { keys: "k", label: "Previous question", run: () => move(-1) },
    { keys: "a", label: "Approve the question in focus", run: press("approve") },
    { keys: "x", label: "Reject the question in focus", run: press("reject") },
  ];
}

function personOf({ ui }: State): string {
  return (ui["person"] as string | undefined) ?? localStorage.getItem(NAME) ?? "";
}

function person(state: State, { dispatch }: Context): VNode {
  return h("label", { class: "gate-person" }, h("span", null, "Your name"),
    h("input", {
      type: "text", autocomplete: "name", maxlength: 100, value: personOf(state),
      placeholder: "It is written into the log",
      oninput: (event: InputEvent) => {
        const { value } = event.target as HTMLInputElement;
        localStorage.setItem(NAME, value);
        dispatch({ type: "ui", key: "person", value });
      },
    }));
}

export function draftOf({ ui }: State, { id }: Gate): Draft {
  return (ui[`gate ${id}`] as Draft | undefined) ?? NOTHING;
}

/** Of what has been typed by now, which the last picture may not show. */
function setDraft(gate: Gate, context: Context, change: (draft: Draft) => Partial<Draft>): void {
  const draft = draftOf(context.latest(), gate);
  context.dispatch({
    type: "ui", key: `gate ${gate.id}`, value: { ...draft, ...change(draft) },
  });
}

type Answer = "approve" | "reject";

export async function sendAnswer(gate: Gate, answer: Answer, context: Context): Promise<void> {
  const state = context.latest();
  const draft = draftOf(state, gate);
  const keep = (change: Partial<Draft>): void => setDraft(gate, context, () => change);
  if (draft.sending === true) return;
  keep({ sending: true, error: undefined });
  try {
    const by = personOf(state).trim();
    const { values, problem } = answer === "approve" ? valuesOf(gate.form, draft.fields)
      : { values: {}, problem: undefined };
    if (problem !== undefined) throw new Error(problem);
    const found = await context.api.post<GateAnswer>("gates/answer", {
      gate: gate.id, answer, comment: draft.comment, fields: values, ...(by !== "" && { by }),
    });
    context.dispatch({ type: "ui", key: `gate ${gate.id}`, value: undefined });
    const text = outcomeOf(gate, found);
    context.dispatch({ type: "notice", kind: "done", text });
    context.announce(text);
    context.refresh();
  } catch (error) {
    keep({ sending: false, error: (error as Error).message });
  }
}

function outcomeOf({ id }: Gate, answer: GateAnswer): string {
  const { already, approved, by, missing, skipped } = answer;
  const what = skipped === true ? "passed over" : approved ? "approved" : "rejected";
  if (already) return `${id} was ${what} before, by ${by}: the first answer counts`;
  if (missing > 0) return `${id}: one approval more, ${missing} still missing`;
  return `${id} is ${what}`;
}

function gateCard(gate: Gate, state: State, context: Context): VNode {
  const { id, message, openedAt, deadline, result, form } = gate;
  const { run, job } = namesOfGate(id);
  const draft = draftOf(state, gate);
  const press = (answer: Answer) => (): void => void sendAnswer(gate, answer, context);
  const isSending = draft.sending === true;
  const isAsked = context.url.searchParams.get("gate") === id;
  return h("li", {
    key: isAsked ? `asked ${id}` : id, class: `gate card${isAsked ? " is-asked" : ""}`,
    "data-gate": id, tabindex: -1, "aria-label": id, hook: isAsked ? TO_SCREEN : undefined,
  },
    h("h2", { class: `gate-message${message.length > LONG ? " is-long" : ""}` }, message),
    h("p", { class: "gate-where" },
      h("a", { href: pathTo(["runs", run], { job }) }, id), " asked ",
      ago(openedAt, state.now), "; ", closing(gate, deadline, state.now)),
    rules(gate, state.now),
    result === null ? null : h("details", { open: true, class: "gate-result" },
      h("summary", null, "What it is about"),
      h("pre", { tabindex: 0 }, typeof result === "string" ? result
        : JSON.stringify(result, null, 2))),
    h("div", { class: "gate-form" }, form.map((field) => input(field, draft, (text) =>
      setDraft(gate, context, ({ fields }) => ({ fields: { ...fields, [field.name]: text } })))),
      h("label", { class: "field field-wide" }, h("span", null, "Comment"),
        h("input", {
          type: "text", maxlength: 1000, value: draft.comment,
          oninput: ({ target }: InputEvent) => setDraft(gate, context, () =>
            ({ comment: (target as HTMLInputElement).value })),
        }))),
    draft.error === undefined ? null : h("p", { class: "gate-error", role: "alert" }, draft.error),
    h("div", { class: "gate-buttons" },
      button("Approve", press("approve"), {
        kind: "main", icon: "completed", label: `Approve ${id}`, disabled: isSending,
      }),
      button("Reject", press("reject"), {
        kind: "danger", icon: "failed", label: `Reject ${id}`, disabled: isSending,
      })));
}

const SILENCE = {
  reject: "rejected", approve: "approved", skip: "passed over",
} as const;

function closing({ onTimeout }: Gate, deadline: number, now: number): Child {
  const then = SILENCE[onTimeout];
  return h("span", null, `without an answer it is ${then} `,
    h("time", { datetime: new Date(deadline).toISOString(), title: exact(deadline) },
      relative(deadline, now)));
}

/** The people who may answer, the number that must, and those who have. */
function rules({ approvers, required, approvals: votes }: Gate, now: number): Child {
  if (approvers.length === 0 && required <= 1 && votes.length === 0) return null;
  return h("ul", { class: "gate-rules" },
    approvers.length > 0 ? h("li", null, `Asked: ${approvers.join(", ")}`) : null,
    required > 1 ? h("li", null, `${votes.length} of ${required} approvals`) : null,
    votes.map(({ by, comment, at }) => h("li", { key: by },
      `${by || "Somebody"} approved `, ago(at, now), comment === "" ? null : `: ${comment}`)));
}

function input(field: GateField, draft: Draft, keep: (text: string) => void): VNode {
  const { name, type, label, choices, required } = field;
  const value = draft.fields[name] ?? field.default ?? "";
  const oninput = (event: InputEvent): void => keep((event.target as HTMLInputElement).value);
  const caption = h("span", null, label || name, required ? h("em", null, " (needed)") : null);
  if (type === "boolean") {
    return h("label", { key: name, class: "field field-check" },
      h("input", {
        type: "checkbox", checked: value === "true",
        onchange: (event: Event) => keep(String((event.target as HTMLInputElement).checked)),
      }), caption);
  }
  if (type === "choice") {
    return h("label", { key: name, class: "field" }, caption,
      h("select", { value, onchange: oninput },
        h("option", { value: "" }, "Choose…"),
        choices.map((choice) => h("option", { key: choice, value: choice }, choice))));
  }
  if (type === "text" && (field.default ?? "").length > LONG / 2) {
    return h("label", { key: name, class: "field field-wide" }, caption,
      h("textarea", { class: "text-area", rows: 4, spellcheck: "false", value, oninput }));
  }
  return h("label", { key: name, class: "field" }, caption, h("input", {
    type: "text", inputmode: type === "number" ? "decimal" : "text", value, oninput,
  }));
}
