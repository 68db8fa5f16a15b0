/**
 * Lesson 19: Store: keys of the cluster's store, and what they hold. To write asks twice.
 *
 * Test: test/19-dashboard.approvals.test.ts
 */
import { plural } from "#base";
import { button, command, empty, loading, page, problem } from "../parts/page.ts";
import { withQuery } from "../router.ts";
import { answerOf, type State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context, View } from "./view.ts";

interface StoreKey {
  readonly key: string;
  readonly type: string;
  /** Milliseconds that are left; null: for ever. */
  readonly ttlMs: number | null;
}

interface StoreKeys {
  /** Whether the cluster has one. */
  readonly store: boolean;
  readonly keys: readonly StoreKey[];
  /** Where more of them begin; "0": there are no more. */
  readonly cursor: string;
}

interface StoreValue extends StoreKey {
  readonly value: unknown;
  /** False: it was cut, and cannot be changed here. */
  readonly whole: boolean;
}

/** Of drafts of the constructor (build/drafts.ts): of each as many as twenty versions have. */
const PIECES = "titan:draft-parts:";

function listPath({ url }: Context): string {
  const query = new URLSearchParams({ prefix: url.searchParams.get("prefix") ?? "" });
  return `store/keys?${query}`;
}

function valuePath({ url }: Context): string | undefined {
  const key = url.searchParams.get("key");
  return key === null ? undefined : `store/keys/${encodeURIComponent(key)}`;
}

export const store: View = {
  name: "Store",
  needs: (context) => [listPath(context), valuePath(context)].flatMap((path) =>
    path === undefined ? [] : [{ type: "get", path, everyMs: 2_000 } as const]),
  render(state, context) {
    const path = listPath(context);
    const found = answerOf<StoreKeys>(state, path);
    if (found?.store === false) {
      return page("Store", empty("This cluster has no store.", "Its master is told of one: ",
        command("titan master --store redis://HOST:PORT")));
    }
    return page("Store", searchForm(context),
      h("div", { class: "store" },
        found === undefined ? loading(state, path) : keys(found, context), value(state, context)));
  },
};

function searchForm({ url, navigate }: Context): VNode {
  return h("label", { class: "field" }, h("span", null, "Keys that begin with"),
    h("input", {
      type: "search", value: url.searchParams.get("prefix") ?? "", placeholder: "all keys",
      oninput: (event: InputEvent) => navigate(withQuery(url, {
        prefix: (event.target as HTMLInputElement).value, key: undefined,
      }), { replace: true }),
    }));
}

function keys({ keys: found, cursor }: StoreKeys, { url }: Context): Child {
  const prefix = url.searchParams.get("prefix") ?? "";
  if (found.length === 0) {
    return empty(prefix === "" ? "The store is empty." : "No key begins so.",
      "Write one: ", command("titan kv set greeting hello"));
  }
  const chosen = url.searchParams.get("key");
  // What Titan keeps there for itself, such as drafts, comes last.
  const rank = (key: string): string => `${Number(key.startsWith("titan:"))}${key}`;
  const isAsked = prefix.startsWith("titan:draft-");
  const sorted = found.filter(({ key }) => isAsked || !key.startsWith(PIECES))
    .sort((a, b) => (rank(a.key) < rank(b.key) ? -1 : 1));
  const pieces = found.length - sorted.length;
  return h("div", null,
    h("ul", { class: "store-keys", "aria-label": "Keys" }, sorted.map(({ key, type, ttlMs }) =>
      h("li", { key, "data-row": true },
        h("a", {
          href: withQuery(url, { key }), "aria-current": key === chosen ? "true" : undefined,
        }, h("span", { class: "mono" }, key),
          h("span", { class: "soft" }, ttlMs === null ? type : `${type}, ${left(ttlMs)}`))))),
    pieces === 0 ? null
      : h("p", { class: "soft" }, `${plural(pieces, "piece")} of drafts: type ${PIECES}`),
    cursor === "0" ? null
      : h("p", { class: "soft" }, "There are more: type more of the name."));
}

function left(ms: number): string {
  return ms < 120_000 ? `${Math.ceil(ms / 1000)} s left` : `${Math.ceil(ms / 60_000)} min left`;
}

function value(state: State, context: Context): Child {
  const path = valuePath(context);
  if (path === undefined) return null;
  const key = context.url.searchParams.get("key")!;
  const found = answerOf<StoreValue>(state, path);
  const error = state.loaded.get(path)?.error;
  if (error !== undefined) return h("section", { class: "card" }, problem(error.message));
  if (found === undefined) return loading(state, path);
  if (found.type === "none") {
    return h("section", { class: "card" }, problem(`There is no key ${JSON.stringify(key)}`));
  }
  return h("section", { class: "card store-value", "aria-label": `value of ${key}` },
    h("h2", { class: "mono" }, key),
    h("p", { class: "soft" }, found.type, found.ttlMs === null ? "" : `, ${left(found.ttlMs)}`),
    isText(found) ? editor(found, { state, context })
      : h("pre", { tabindex: 0 }, typeof found.value === "string" ? found.value
        : JSON.stringify(found.value, null, 2)),
    found.whole ? null : h("p", { class: "soft" }, "It is longer than what is shown."),
    h("div", { class: "buttons" }, deleteButton(key, context)));
}

/** One that is there as a whole. */
function isText(found: StoreValue): found is StoreValue & { readonly value: string } {
  return typeof found.value === "string" && found.whole;
}

/** What a person has typed, and what the key had when they began. */
interface Draft {
  readonly text: string;
  readonly was: string;
}

/**
 * A text can be changed; the button says what will be overwritten before it does. Somebody else may
 * have written meanwhile: then nothing is. Its time to live goes on.
 */
function editor(
  found: StoreValue & { readonly value: string },
  { state, context }: { state: State; context: Context },
): VNode {
  const { key, value: text } = found;
  const path = `store/keys/${encodeURIComponent(key)}`;
  const name = `store ${key}`;
  const draft = state.ui[name] as Draft | undefined;
  const isSure = state.ui[`${name} sure`] === true;
  const set = (value: Draft | undefined): void => {
    context.dispatch({ type: "ui", key: name, value });
    context.dispatch({ type: "ui", key: `${name} sure`, value: false });
  };
  const write = (written: Draft): void => void context.act(async () => {
    const { text: value, was } = written;
    await context.api.post(path, { value, was, keepTtl: true });
    context.dispatch({ type: "loaded", path, value: { ...found, value } });
    const now = context.latest().ui[name] as Draft | undefined;
    // A text that was typed meanwhile stays, and is a change of what the key has now.
    set(now === written || now === undefined ? undefined : { text: now.text, was: value });
    context.refresh();
  }, `${key} is written`);
  return h("div", { class: "store-editor" },
    h("textarea", {
      "aria-label": `value of ${key}`, rows: 8, spellcheck: "false", value: draft?.text ?? text,
      oninput: (event: InputEvent) => set({
        text: (event.target as HTMLTextAreaElement).value, was: draft?.was ?? text,
      }),
    }),
    draft === undefined || draft.text === text ? null : h("div", { class: "buttons" },
      isSure
        ? button(`Overwrite ${key}`, () => {
          // A person who has gone on typing is asked again, although that is not drawn yet.
          if (context.latest().ui[name] === draft) write(draft);
        }, { kind: "danger", key: "sure" })
        : button("Write…", () => context.dispatch({
          type: "ui", key: `${name} sure`, value: true,
        }), { kind: "main", key: "ask" }),
      button("Undo", () => set(undefined), { key: "undo" })));
}

function deleteButton(key: string, context: Context): VNode {
  const remove = async (): Promise<void> => {
    if (!(await context.confirm({ title: `Delete ${key}?`, verb: "Delete", danger: true }))) return;
    await context.act(async () => {
      await context.api.post(`store/keys/${encodeURIComponent(key)}/delete`);
      context.navigate(withQuery(context.url, { key: undefined }));
      context.refresh();
    }, `${key} is deleted`);
  };
  return button("Delete…", () => void remove(), { kind: "danger", label: `Delete ${key}…` });
}
