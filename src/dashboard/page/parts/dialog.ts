/**
 * Lesson 19: a window above the page. The browser's own: it keeps the focus inside, closes with
 * Escape, and the rest of the page is not there meanwhile.
 *
 * Test: test/19-dashboard.frame.test.ts
 */
import { h, type Child, type VNode } from "../vdom.ts";
import { button } from "./page.ts";

export interface DialogOptions {
  readonly title: string;
  readonly kind?: string;
  /** Called when it is closed by Escape, by its button, or by a click beside it. */
  onclose(): void;
}

export function dialog({ title, kind = "plain", onclose }: DialogOptions, ...content: Child[]):
  VNode {
  return h("dialog", {
    class: `dialog dialog-${kind}`, "aria-label": title, key: `dialog ${title}`,
    onclick: (event: MouseEvent) => {
      if (event.target === event.currentTarget) onclose();
    },
    oncancel: (event: Event) => {
      event.preventDefault();
      onclose();
    },
    hook: { mount: showDialog },
  }, h("div", { class: "dialog-body" }, ...content));
}

/** The focus goes back to where it was. */
function showDialog(element: HTMLElement): () => void {
  const before = document.activeElement as HTMLElement | null;
  (element as HTMLDialogElement).showModal();
  return () => {
    (element as HTMLDialogElement).close();
    before?.focus();
  };
}

/** The window in which something was pressed. */
export function ownerOf({ currentTarget }: Event): HTMLDialogElement {
  return (currentTarget as Element).closest("dialog")!;
}

/** A question with two answers. */
export interface Question {
  readonly title: string;
  readonly text?: string;
  /** What the button says that does it: "Cancel 3 runs". */
  readonly verb: string;
  readonly danger?: boolean;
}

export function confirmDialog(
  { title, text, verb, danger = false }: Question, answer: (yes: boolean) => void,
): VNode {
  return dialog({ title, onclose: () => answer(false) },
    h("h2", null, title),
    text === undefined ? null : h("p", null, text),
    h("div", { class: "dialog-buttons" },
      button("Not now", () => answer(false)),
      button(verb, () => answer(true), { kind: danger ? "danger" : "main" })));
}
