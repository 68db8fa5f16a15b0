/**
 * Lesson 19: the keyboard on the canvas. One node is in the order of Tab; arrows lead from it to
 * the others, and bring each into sight.
 *
 *     arrows        along edges, and to the nearest node      Shift + arrow   move by a step
 *     Enter         to its fields        Space   select, too   Delete          remove
 *     c             connect to another job, from a list        Escape          select nothing
 *     Ctrl/⌘        z undo · y redo · c copy · x cut · v paste · d duplicate · a all
 *     + - 0         nearer, farther, all in sight
 *
 * Copy and paste are the browser's own events, so that the clipboard needs no permission.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import type { Context } from "../views/view.ts";
import { selected } from "./board.ts";
import {
  copied, duplicate, focusNode, look, nudge, paste, redoNext, remove, selectAll, undoLast,
} from "./deeds.ts";
import { currentDesk, fitted, onBoard, update, zoomed } from "./desk.ts";
import { neighbour, type Direction } from "./graph.ts";

const ARROWS: Readonly<Record<string, Direction>> = {
  ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down",
};
const ZOOM_STEP = 1.25;

export function keydown(context: Context, event: KeyboardEvent): void {
  if (isTyping(event.target)) return;
  const done = event.ctrlKey || event.metaKey
    ? withControl(context, event)
    : plain(context, event);
  if (!done) return;
  event.preventDefault();
  event.stopPropagation();
}

function isTyping(target: EventTarget | null): boolean {
  return (target as Element).closest("input, textarea, select, button, dialog") !== null;
}

function withControl(context: Context, { key, shiftKey }: KeyboardEvent): boolean {
  const letter = key.toLowerCase();
  if (letter === "z") (shiftKey ? redoNext : undoLast)(context);
  else if (letter === "y") redoNext(context);
  else if (letter === "d") duplicate(context);
  else if (letter === "a") selectAll(context);
  else return false;
  return true;
}

function plain(context: Context, event: KeyboardEvent): boolean {
  const { key, shiftKey } = event;
  const arrow = ARROWS[key];
  if (arrow !== undefined) {
    if (shiftKey) nudge(context, arrow);
    else walk(context, arrow, focusOf(event));
    return true;
  }
  const focus = focusOf(event);
  switch (key) {
    case "Delete": case "Backspace": remove(context); return true;
    case "Escape":
      update(context, (desk) => ({ ...onBoard((board) => selected(board, []))(desk),
        dialog: undefined, gesture: undefined }));
      return true;
    case "Enter": {
      if (focus !== undefined) update(context, onBoard((board) => selected(board, [focus])));
      requestAnimationFrame(() => requestAnimationFrame(() => {
        document.querySelector<HTMLElement>(".build-panel input, .build-panel textarea")?.focus();
      }));
      return true;
    }
    case " ":
      if (focus === undefined) return false;
      pin(context, focus);
      return true;
    case "c":
      if (focus === undefined) return false;
      update(context, (desk) => ({ ...onBoard((board) => selected(board, [focus]))(desk),
        dialog: "connect" }));
      return true;
    case "+": case "=": update(context, (desk) => zoomed(desk, ZOOM_STEP)); return true;
    case "-": update(context, (desk) => zoomed(desk, 1 / ZOOM_STEP)); return true;
    case "0": update(context, fitted); return true;
    default: return false;
  }
}

/** The node that the key was pressed on. */
function focusOf({ target }: KeyboardEvent): string | undefined {
  return (target as HTMLElement).dataset["key"];
}

/** Chosen with the space bar: the arrows leave them chosen, as long as nothing else is. */
const pinned = new Set<string>();

function pin(context: Context, focus: string): void {
  const keys = new Set(currentDesk().board.selection);
  const wasPinned = pinned.delete(focus) && keys.delete(focus);
  if (!wasPinned) {
    pinned.add(focus);
    keys.add(focus);
  }
  update(context, onBoard((board) => selected(board, keys)));
  context.announce(`${focus} ${wasPinned ? "is left out" : "stays selected"}`);
}

function walk(context: Context, direction: Direction, focus: string | undefined): void {
  const { board } = currentDesk();
  const from = focus ?? board.document.jobs[0]?.key;
  if (from === undefined) return;
  const to =
    focus === undefined ? from : neighbour(board.document, board.positions, from, direction);
  if (to === undefined) return;
  update(context, onBoard((now) =>
    selected(now, [...[...pinned].filter((key) => now.selection.has(key)), to])));
  look(context, to);
  focusNode(to);
}

/** The events of the browser, on the whole page while the constructor is shown. */
export function listen(context: () => Context): () => void {
  const isCanvas = (): boolean => document.activeElement?.closest(".build-canvas") != null;
  const copy = (event: ClipboardEvent): void => {
    const text = isCanvas() ? copied() : "";
    if (text === "") return;
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
    if (event.type === "cut") remove(context());
  };
  const pasted = (event: ClipboardEvent): void => {
    if (!isCanvas()) return;
    event.preventDefault();
    paste(context(), event.clipboardData?.getData("text/plain") ?? "");
  };
  document.addEventListener("copy", copy);
  document.addEventListener("cut", copy);
  document.addEventListener("paste", pasted);
  return () => {
    document.removeEventListener("copy", copy);
    document.removeEventListener("cut", copy);
    document.removeEventListener("paste", pasted);
  };
}
