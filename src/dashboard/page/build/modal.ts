/**
 * Lesson 19: a window of the constructor. The browser's own: the focus stays in it.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { button } from "../parts/page.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { update } from "./desk.ts";

export function closeModal(context: Context): void {
  update(context, (desk) => ({ ...desk, dialog: undefined }));
}

/** `action`: the button that does what the window is for. */
export function modal(
  title: string, { context, action }: { context: Context; action?: VNode }, ...content: Child[]
): VNode {
  return h("dialog", {
    class: "build-dialog", key: title, "aria-label": title,
    oncancel: (event: Event) => {
      event.preventDefault();
      closeModal(context);
    },
    hook: {
      mount: (element: HTMLElement) => {
        (element as HTMLDialogElement).showModal();
        return () => (element as HTMLDialogElement).close();
      },
    },
  }, h("h2", null, title), ...content,
  h("div", { class: "build-row" }, action, button("Close", () => closeModal(context))));
}
