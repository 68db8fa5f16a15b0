/**
 * Lesson 19: what the watched run asks a person, over the canvas where it is built. A question that
 * has a form, or something to look at first, is answered on the page Approvals.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { namesOfGate } from "../gates.ts";
import { button } from "../parts/page.ts";
import type { Gate } from "../rows.ts";
import { answerOf, type State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import { draftOf, sendAnswer } from "../views/approvals.ts";
import type { Context } from "../views/view.ts";
import type { Desk } from "./desk.ts";

export function question({ run }: Desk, state: State, context: Context): Child {
  const gates = answerOf<Gate[]>(state, "gates") ?? [];
  const gate = gates.find(({ id }) => namesOfGate(id).run === run);
  if (gate === undefined) return null;
  const { error } = draftOf(state, gate);
  const { job } = namesOfGate(gate.id);
  return h("div", {
    class: "build-question", role: "group", "aria-label": `Question of ${job}`,
    // Else the canvas beneath would take the pointer.
    onpointerdown: (event: PointerEvent) => event.stopPropagation(),
  },
  h("p", null, h("strong", null, job), " waits for you: ", gate.message),
  error === undefined ? null : h("p", { class: "gate-error", role: "alert" }, error),
  h("div", { class: "build-row" }, isPlain(gate)
    ? [...answers(gate, state, context),
      h("a", { href: "/approvals", "aria-label": `Answer ${job} with a comment` }, "Comment…")]
    : h("a", { href: "/approvals" }, `Answer ${job}…`)));
}

function isPlain({ form, result }: Gate): boolean {
  return form.length === 0 && result === null;
}

function answers(gate: Gate, state: State, context: Context): VNode[] {
  const send = (answer: "approve" | "reject") => (): void =>
    void sendAnswer(gate, answer, context);
  const disabled = draftOf(state, gate).sending === true;
  return [
    button("Approve", send("approve"), {
      kind: "main", icon: "completed", label: `Approve ${gate.id}`, disabled,
    }),
    button("Reject", send("reject"), {
      kind: "danger", icon: "failed", label: `Reject ${gate.id}`, disabled,
    }),
  ];
}
