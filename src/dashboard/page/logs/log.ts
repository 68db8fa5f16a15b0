/**
 * Lesson 19: a log as a part of a view: a pane that lives as long as its element.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { h, type VNode } from "../vdom.ts";
import { LogPane, type LogProps } from "./pane.ts";

const panes = new WeakMap<Element, LogPane>();

export function logTree(props: LogProps): VNode {
  return h("div", {
    key: "log", class: "log-pane", opaque: true,
    hook: {
      mount(element: HTMLElement): () => void {
        const pane = new LogPane(element);
        panes.set(element, pane);
        return () => pane.close();
      },
      update: (element: HTMLElement) => panes.get(element)!.update(props),
    },
  });
}

/** For the key that leads to the output. */
export function focusLog(): void {
  const element = document.querySelector(".log-pane");
  if (element !== null) panes.get(element)?.focus();
}
