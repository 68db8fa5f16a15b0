/**
 * Lesson 19: a view whose code comes when it is first shown: the first page needs less then.
 *
 * Test: test/19-dashboard.frame.test.ts
 */
import { pageWith, problem } from "../parts/page.ts";
import { h } from "../vdom.ts";
import type { Context, View } from "./view.ts";

export interface Later {
  readonly view: View;
  /** Loads the code before somebody asks for it. */
  warm(): void;
}

/** `heading`: as the view will have it. */
export function later(
  name: string, load: () => Promise<View>, heading: (context: Context) => string = () => name,
): Later {
  let found: View | undefined;
  let failure = "";
  let isLoading = false;
  const begin = (drawAgain: () => void): void => {
    if (isLoading || found !== undefined) return;
    isLoading = true;
    load().then((view) => {
      found = view;
    }, (error: Error) => {
      failure = `Cannot load this view: ${error.message}`;
    }).finally(() => {
      isLoading = false;
      drawAgain();
    });
  };
  const view: View = {
    name,
    title: (context) => found?.title?.(context) ?? heading(context),
    needs: (context, state) => found?.needs?.(context, state) ?? [],
    keys: (state, context) => found?.keys?.(state, context) ?? [],
    render(state, context) {
      if (found !== undefined) return found.render(state, context);
      begin(() => context.dispatch({ type: "ui", key: `code of ${name}`, value: failure }));
      return pageWith({ heading: heading(context) },
        failure === "" ? h("p", { class: "loading" }, "Loading…")
          : problem(failure, h("a", { href: location.href, target: "_self" }, "Try again")));
    },
  };
  return { view, warm: () => begin(() => undefined) };
}
