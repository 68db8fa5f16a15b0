/**
 * Lesson 19: a text that can be edited. The browser's own editor, with line numbers beside it: it
 * knows every keyboard, every screen reader and every phone.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { redoNext, undoLast } from "./deeds.ts";

export interface Edited {
  readonly label: string;
  readonly text: string;
  /** Lines with something to say: "error", "warning". */
  readonly marks?: ReadonlyMap<number, string>;
  readonly invalid?: boolean;
  /** A person has typed: this is the whole text now. */
  typed(text: string): void;
}

export function editor(
  context: Context, { label, text, marks = new Map(), invalid = false, typed }: Edited,
): VNode {
  const count = text.split("\n").length;
  const style = { "--digits": String(count).length };
  return h("div", { class: "build-editor", key: label, style },
    numbers(count, marks),
    h("textarea", {
      class: "build-text", "aria-label": label, wrap: "off", spellcheck: "false",
      autocapitalize: "off", autocomplete: "off", value: text,
      oninput: ({ target }: Event) => typed((target as HTMLTextAreaElement).value),
      "aria-invalid": invalid || undefined,
      onkeydown: (event: KeyboardEvent) => keys(event, context),
      onscroll: ({ target }: Event) => {
        const { scrollTop, previousElementSibling } = target as HTMLElement;
        previousElementSibling!.scrollTop = scrollTop;
      },
    }));
}

/** So many lines are one block: the browser lays a block out again when a number in it changes. */
const BLOCK = 100;

/** Numbers are texts; only lines with a mark are elements of their own. */
function numbers(count: number, marks: ReadonlyMap<number, string>): VNode {
  const blocks: Child[][] = [];
  for (let line = 1; line <= count; line++) {
    if (line % BLOCK === 1) blocks.push([""]);
    const parts = blocks.at(-1)!;
    const mark = marks.get(line);
    if (mark === undefined) parts.push(`${parts.pop()}${line}\n`);
    else parts.push(h("mark", { class: `build-line-${mark}` }, `${line}\n`), "");
  }
  return h("div", { class: "build-numbers", "aria-hidden": "true" },
    blocks.map((parts) => h("div", null, parts)), "\n\n");
}

/** Tab leaves the editor, as everywhere; undo is the constructor's, which knows the canvas, too. */
function keys(event: KeyboardEvent, context: Context): void {
  if (!event.ctrlKey && !event.metaKey) return;
  const letter = event.key.toLowerCase();
  const deed = letter === "z" ? (event.shiftKey ? redoNext : undoLast) :
    letter === "y" ? redoNext : undefined;
  if (deed === undefined) return;
  event.preventDefault();
  deed(context);
}
