/**
 * Lesson 19: what a person can do in the constructor, by whatever means: buttons, keys and pointers
 * call these. A deed that cannot be done says why.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import type { Context } from "../views/view.ts";
import { changed, moved, redo, selected, undo, type Board } from "./board.ts";
import { currentDesk, fitted, onBoard, shownAt, toWorld, update } from "./desk.ts";
import { edit, type Document, type JobKind } from "./document.ts";
import { connect, disconnect } from "./edges.ts";
import { EditError, removeAt, setAt } from "./edit.ts";
import {
  aligned, GRID, Ground, layoutAll, NODE, type Direction, type Point, type Side,
} from "./graph.ts";
import { addJob, removeJobs, renameJob } from "./jobs.ts";
import { copyJobs, pasteJobs } from "./paste.ts";
import type { Path } from "./slots.ts";

/** Does it, or says why not. */
export function attempt(context: Context, change: (board: Board) => Board): boolean {
  try {
    const { refusal } = currentDesk().board;
    if (refusal !== undefined) {
      const where = `line ${refusal.line}: ${refusal.reason}`;
      throw new EditError(`The canvas waits until the YAML can be read (${where}).`);
    }
    update(context, onBoard(change));
    return true;
  } catch (error) {
    if (!(error instanceof EditError)) throw error;
    context.dispatch({ type: "notice", kind: "problem", text: error.message });
    return false;
  }
}

export function add(context: Context, kind: JobKind, place?: Point): void {
  const done = attempt(context, (board) => {
    const { document, key } = addJob(board.document, kind);
    const positions = new Map(board.positions);
    positions.set(key, new Ground(positions.values()).take(place ?? newPlace(board)));
    return changed(board, document, { positions, select: [key] });
  });
  if (!done) return;
  const key = [...currentDesk().board.selection][0]!;
  // A person has the place of what they drop before their eyes.
  if (place === undefined) look(context, key);
  context.announce(`${key} added`);
  focusNode(key);
}

/**
 * Behind the selected node; at the beginning of the next line where the canvas ends, as words in a
 * text do; without one in the middle of what is seen.
 */
function newPlace({ selection, positions }: Board): Point {
  const desk = currentDesk();
  const [one] = selection;
  const at = selection.size === 1 ? positions.get(one!) : undefined;
  if (at !== undefined) {
    const x = at.x + NODE.width + 4 * GRID;
    const isIn = toWorld(desk, { x: desk.size.width, y: 0 }).x >= x + NODE.width;
    if (isIn || desk.size.width === 0) return { x, y: at.y };
    return { x: toWorld(desk, { x: 2 * GRID, y: 0 }).x, y: at.y + NODE.height + 2 * GRID };
  }
  if (positions.size === 0 || desk.size.width === 0) return { x: 0, y: 0 };
  const middle = toWorld(desk, { x: desk.size.width / 2, y: desk.size.height / 2 });
  return { x: middle.x - NODE.width / 2, y: middle.y - NODE.height / 2 };
}

/** Below this, words on cards are hard to read. */
const READABLE = 0.6;

/** Brings a node into sight, and the keyboard to it: with all others, if they can be read then. */
export function look(context: Context, key: string): void {
  update(context, (desk) => {
    const at = desk.board.positions.get(key);
    if (at === undefined) return desk;
    const seen = shownAt({ ...desk, focus: key }, { ...at, ...NODE });
    const all = fitted(desk);
    const isOut = seen.view !== desk.view;
    return isOut && all.view.zoom >= READABLE ? { ...seen, view: all.view } : seen;
  });
}

/** After the next picture, when the node is there. */
export function focusNode(key: string): void {
  requestAnimationFrame(() => requestAnimationFrame(() => {
    document.querySelector<HTMLElement>(`.build-node[data-key="${CSS.escape(key)}"]`)?.focus();
  }));
}

export function connectJobs(context: Context, from: string, to: string): void {
  if (attempt(context, (board) => changed(board, connect(board.document, from, to)))) {
    context.announce(`${to} waits for ${from}`);
  }
}

export function disconnectJobs(context: Context, parentId: string, to: string): void {
  if (attempt(context, (board) => changed(board, disconnect(board.document, parentId, to)))) {
    context.announce(`${to} no longer waits for ${parentId}`);
  }
}

export function remove(context: Context): void {
  const { edge, selection, document } = currentDesk().board;
  if (edge !== undefined) {
    return disconnectJobs(context, document.byKey.get(edge.from)?.id ?? edge.from, edge.to);
  }
  const keys = [...selection];
  if (keys.length === 0) return;
  const done = attempt(context, (board) =>
    changed(board, removeJobs(board.document, keys), { select: [] }));
  if (done) context.announce(`${keys.join(", ")} removed`);
}

export function rename(context: Context, key: string, id: string): boolean {
  const done = attempt(context, (board) => {
    const document = renameJob(board.document, key, id);
    return changed(board, document, { select: [id] });
  });
  if (done) update(context, (desk) => ({ ...desk, focus: id }));
  return done;
}

/** Sets or removes a field. `group`: of typing in one field, undo takes back all. */
export function setField(
  context: Context, path: Path, value: unknown, group = "",
): boolean {
  return attempt(context, (board) => {
    const { document } = board;
    const splices = value === undefined ? removeAt(document, path) : setAt(document, path, value);
    return changed(board, edit(document, splices), { group });
  });
}

export function undoLast(context: Context): void {
  update(context, onBoard(undo));
}

export function redoNext(context: Context): void {
  update(context, onBoard(redo));
}

export function selectAll(context: Context): void {
  update(context, onBoard((board) => selected(board, board.document.byKey.keys())));
}

export function arrange(context: Context): void {
  if (attempt(context, (board) => moved(board, layoutAll(board.document)))) {
    update(context, fitted);
  }
}

export function align(context: Context, side: Side): void {
  attempt(context, (board) => moved(board, aligned(board.positions, [...board.selection], side)));
}

/** By the keyboard: steps of the grid. */
export function nudge(context: Context, direction: Direction, steps = 1): void {
  const by = GRID * steps;
  const [dx, dy] = { left: [-by, 0], right: [by, 0], up: [0, -by], down: [0, by] }[direction] as
    [number, number];
  attempt(context, (board) => {
    const positions = new Map(board.positions);
    for (const key of board.selection) {
      const { x, y } = positions.get(key)!;
      positions.set(key, { x: x + dx, y: y + dy });
    }
    return moved(board, positions, "nudge");
  });
}

export function copied(): string {
  const { board } = currentDesk();
  return board.refusal ? "" : copyJobs(board.document, [...board.selection]);
}

export function paste(context: Context, text: string): void {
  const done = attempt(context, (board) => {
    const { document, keys } = pasteJobs(board.document, text);
    return changed(board, document, {
      positions: besideOriginals(board, document, keys), select: keys,
    });
  });
  if (done) context.announce(`${[...currentDesk().board.selection].join(", ")} added`);
}

/** Copies stand a little beside what was copied, others below everything. */
function besideOriginals(
  board: Board,
  document: Document,
  keys: readonly string[],
): Board["positions"] {
  const positions = new Map(board.positions);
  const ground = new Ground(positions.values());
  for (const key of keys) {
    const from = board.positions.get(key.replace(/-copy(?:-\d+)?$/, ""));
    if (from === undefined || !document.byKey.has(key)) continue;
    positions.set(key, ground.take({ x: from.x + 2 * GRID, y: from.y + 2 * GRID }));
  }
  return positions;
}

export function duplicate(context: Context): void {
  const text = copied();
  if (text !== "") paste(context, text);
}
