/**
 * Lesson 19: a view, and how one is written.
 *
 * A view is a value: its name, the facts that it needs, and a function from the state to a tree of
 * what should be in the document. It keeps nothing for itself: what should survive a reload is in
 * the address (`context.url`, changed by `context.navigate`), everything else in `state.ui`.
 *
 *     export const dead: View = {
 *       name: "Dead letters",
 *       needs: () => [{ type: "get", path: "dead", everyMs: 2000 }],
 *       render(state, context) {
 *         const letters = answerOf<DeadLetter[]>(state, "dead");
 *         if (letters === undefined) return page("Dead letters", loading(state, "dead"));
 *         const again = async ({ run, job }: DeadLetter): Promise<void> => {
 *           await context.api.post(`runs/${run}/retry`, { from: job });
 *           context.announce(`${job} gets another chance`);
 *         };
 *         return page("Dead letters", h("ul", null, letters.map((letter) =>
 *           h("li", { key: letter.job },
 *             h("a", { href: pathTo(["runs", letter.run]) }, letter.job),
 *             button("Retry", () => context.act(() => again(letter)))))));
 *       },
 *     };
 *
 * `page()` makes the level-1 heading, `loading()` says that something is on its way or why not,
 * `button()` is a button (parts/). `context.act` shows what goes wrong. Links are plain `<a href>`:
 * the program follows them without loading the page anew.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import type { Api } from "../api.ts";
import type { Question } from "../parts/dialog.ts";
import type { Action, State } from "../state.ts";
import type { VNode } from "../vdom.ts";

/** What has to be loaded, and kept up to date, while a view is shown. */
export type Need =
  /**
   * Everything of one run: its jobs come in `state.jobs`, its facts in `state.facts`. If all that
   * are followed are `brief`, facts of attempts are left out: they cost the master the most.
   */
  | { readonly type: "run"; readonly id: string; readonly brief?: boolean }
  /**
   * The answer to a GET below /api/v1/: it comes in `state.loaded`, by its path.
   * `hiddenMs`: also while nobody sees the tab.
   */
  | {
    readonly type: "get"; readonly path: string; readonly everyMs?: number;
    readonly hiddenMs?: number;
  };

export interface Context {
  readonly url: URL;
  /** What the path names, decoded: `run` of /runs/{run}. */
  readonly params: Readonly<Record<string, string>>;
  readonly api: Api;
  /**
   * The state by now. A handler has that of the last picture, and a person may have typed since.
   */
  latest(): State;
  navigate(url: string, options?: { readonly replace?: boolean }): void;
  dispatch(action: Action): void;
  /** Says it to people who listen instead of looking, politely. */
  announce(text: string): void;
  /** Does what a person asked for; what goes wrong is shown, `done` when nothing did. */
  act(work: () => Promise<unknown>, done?: string): Promise<void>;
  /** Asks a person before something that cannot be undone. */
  confirm(question: Question): Promise<boolean>;
  /** Asks for the answers that the view needs again: after a change of what they tell. */
  refresh(): void;
}

/** A key, or two in a row: "a", "g r", "Escape", "Shift+ArrowDown". */
export interface Shortcut {
  readonly keys: string;
  readonly label: string;
  run(): void;
}

export interface View {
  /** The level-1 heading, and the title of the window. */
  readonly name: string;
  /** The window's title, where the name alone does not tell. */
  title?(context: Context): string;
  /** Of the state only what seldom changes: other runs to follow are another connection. */
  needs?(context: Context, state: State): readonly Need[];
  render(state: State, context: Context): VNode;
  /** Keys while the view is shown and nobody types. The list behind `?` has them, too. */
  keys?(state: State, context: Context): readonly Shortcut[];
}
