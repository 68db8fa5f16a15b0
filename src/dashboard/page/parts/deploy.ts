/**
 * Lesson 19: the window in which a person deploys a service: its pipeline as text, and what the
 * master says of it. The text stays until it is deployed.
 *
 * Test: test/19-dashboard.approvals.test.ts
 */
import type { State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { dialog, ownerOf } from "./dialog.ts";
import { button } from "./page.ts";

const KEY = "deploy";
/** A service that needs nothing but what the machine of a worker has. */
const EXAMPLE = `name: web
jobs:
  - id: web
    type: service
    run: exec python3 -m http.server "$TITAN_PORT"
    replicas: 1
`;

const YAML = "application/yaml";

/** Of a pipeline that is only looked at. */
interface Verdict {
  readonly problems?: readonly { readonly message: string }[];
}

interface Draft {
  readonly text: string;
  readonly isOpen: boolean;
  readonly isSending?: boolean;
  readonly error?: string | undefined;
}

function deployDraft({ ui }: State): Draft {
  return (ui[KEY] as Draft | undefined) ?? { text: EXAMPLE, isOpen: false };
}

export function deployButton(state: State, { dispatch }: Context): VNode {
  const value: Draft = { ...deployDraft(state), isOpen: true };
  return button("Deploy…", () => dispatch({ type: "ui", key: KEY, value }), {
    icon: "plus", label: "Deploy a service…",
  });
}

export function deployDialog(state: State, context: Context): Child {
  const draft = deployDraft(state);
  if (!draft.isOpen) return null;
  const set = (change: Partial<Draft>): void =>
    context.dispatch({ type: "ui", key: KEY, value: { ...draft, ...change } });
  return dialog({ title: "Deploy a service", kind: "wide", onclose: () => set({ isOpen: false }) },
    h("h2", null, "Deploy a service"),
    h("p", { class: "soft" }, "If a service of this name is there, the new version takes its " +
      "place once it is ready."),
    h("textarea", {
      class: "text-area", "aria-label": "Pipeline of the service", rows: 14, spellcheck: "false",
      value: draft.text,
      oninput: ({ target }: InputEvent) =>
        set({ text: (target as HTMLTextAreaElement).value, error: undefined }),
    }),
    draft.error === undefined ? null : h("p", { class: "gate-error", role: "alert" }, draft.error),
    h("div", { class: "dialog-buttons" },
      button("Not now", () => set({ isOpen: false })),
      button("Deploy", (event) => {
        // As it stands in the window: the last key may not have been drawn yet.
        const { value } = ownerOf(event).querySelector("textarea")!;
        void deploy({ ...draft, text: value }, context);
      }, {
        kind: "main", disabled: draft.isSending === true,
      })));
}

async function deploy(draft: Draft, { api, dispatch, refresh }: Context): Promise<void> {
  const set = (value: Draft | undefined): void => dispatch({ type: "ui", key: KEY, value });
  set({ ...draft, isSending: true, error: undefined });
  try {
    const send = <T>(path: string): Promise<T> => api.send<T>(path, draft.text, YAML);
    const { problems = [] } = await send<Verdict>("validate");
    if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join("\n"));
    const { run } = await send<{ run: string }>("runs?deploy=1");
    set(undefined);
    dispatch({ type: "notice", kind: "done", text: `${run} is being deployed` });
    refresh();
  } catch (error) {
    set({ ...draft, error: (error as Error).message });
  }
}
