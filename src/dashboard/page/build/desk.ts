/**
 * Lesson 19: what the constructor shows besides the board itself: how far the canvas is moved,
 * which tab is open, what the checks said, which run is watched.
 *
 * It is in `state.ui` as every view's is. Pointers move more often than pictures are made, so the
 * latest value is also kept here, and a change always starts from that one.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import type { State } from "../state.ts";
import type { Context } from "../views/view.ts";
import { openBoard, type Board } from "./board.ts";
import type { DraftInfo } from "./drafts.ts";
import { boundsOf, type Box, type Point } from "./graph.ts";
import type { Finding } from "./problems.ts";
import type { Given } from "./trial.ts";

export interface Viewport extends Point {
  readonly zoom: number;
}

/** The pointer is down, and this is going on. */
export type Gesture =
  | { readonly type: "nodes"; readonly by: Point }
  | { readonly type: "band"; readonly box: Box }
  /** `over`: the job under the pointer; `problem`: why the edge cannot end there. */
  | {
    readonly type: "edge"; readonly from: string; readonly to: Point; readonly over?: string;
    readonly problem?: string;
  };

export interface Desk {
  readonly board: Board;
  readonly view: Viewport;
  /** Of the canvas, on the screen. */
  readonly size: { readonly width: number; readonly height: number };
  readonly tab: "yaml" | "files" | "typescript" | "python";
  /** The path of the file that is shown. */
  readonly file: string;
  /** The run that the pipeline was opened from: its folder is used while there are no files. */
  readonly from: string | undefined;
  readonly gesture: Gesture | undefined;
  readonly findings: readonly Finding[];
  /** The text that the findings are about. */
  readonly checked: string | undefined;
  readonly run: string | undefined;
  readonly dialog: "open" | "connect" | "trial" | undefined;
  /** What a job was last tested with, by its key. */
  readonly trials: ReadonlyMap<string, Given>;
  readonly draft: DraftState;
  /** For the window that opens them; undefined until they have come. */
  readonly drafts: readonly DraftInfo[] | undefined;
  /** The node that the keyboard is at. */
  readonly focus: string | undefined;
}

export interface DraftState {
  readonly name: string;
  /** Of the last save; a save that does not know it is refused. */
  readonly version: number;
  readonly where: string;
  readonly status: "saved" | "saving" | "unsaved" | "conflict" | "failed";
  /** Why it has failed. */
  readonly why: string;
}

export const MIN_ZOOM = 0.1;
export const MAX_ZOOM = 2;
const MARGIN = 40;
const KEY = "build";

export const START = `# Add jobs on the canvas, or here.
name: my-pipeline
jobs: []
`;

export function newDesk(text = START): Desk {
  return {
    board: openBoard(text), view: { x: MARGIN, y: MARGIN, zoom: 1 },
    size: { width: 0, height: 0 }, tab: "yaml", file: "", from: undefined, gesture: undefined,
    findings: [],
    checked: undefined, run: undefined, dialog: undefined, trials: new Map(), focus: undefined,
    draft: { name: "", version: 0, where: "", status: "saved", why: "" }, drafts: undefined,
  };
}

let latest: Desk | undefined;

export function deskOf(state: State): Desk {
  latest ??= (state.ui[KEY] as Desk | undefined) ?? newDesk();
  return latest;
}

export function currentDesk(): Desk {
  return (latest ??= newDesk());
}

export type Change = (desk: Desk) => Desk;

export function update({ dispatch }: Pick<Context, "dispatch">, change: Change): Desk {
  const next = change(currentDesk());
  if (next === latest) return next;
  latest = next;
  dispatch({ type: "ui", key: KEY, value: next });
  return next;
}

export function onBoard(change: (board: Board) => Board): Change {
  return (desk) => {
    const board = change(desk.board);
    return board === desk.board ? desk : { ...desk, board };
  };
}

// ── looking around ───────────────────────────────────────────────────────────────────────────────

/** All of the board in sight, not larger than it is. */
export function fitted(desk: Desk): Desk {
  const { size, board } = desk;
  const box = boundsOf(board.positions.values());
  if (size.width === 0 || box.width === 0) return desk;
  const wide = (size.width - 2 * MARGIN) / box.width;
  const high = (size.height - 2 * MARGIN) / box.height;
  const zoom = Math.max(MIN_ZOOM, Math.min(1, wide, high));
  const x = (size.width - box.width * zoom) / 2 - box.x * zoom;
  const y = (size.height - box.height * zoom) / 2 - box.y * zoom;
  return { ...desk, view: { x, y, zoom } };
}

/** Nearer or farther, around a point of the screen, which stays where it is. */
export function zoomed(desk: Desk, factor: number, around?: Point): Desk {
  const { view, size } = desk;
  const { x, y } = around ?? { x: size.width / 2, y: size.height / 2 };
  const zoom = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, view.zoom * factor));
  const real = zoom / view.zoom;
  return { ...desk, view: { zoom, x: x - (x - view.x) * real, y: y - (y - view.y) * real } };
}

/** Moves the canvas as little as it takes to see this place. */
export function shownAt(desk: Desk, { x, y, width, height }: Box): Desk {
  const { view, size } = desk;
  const move = (start: number, length: number, room: number): number => {
    if (start < MARGIN) return MARGIN - start;
    return Math.min(0, room - MARGIN - (start + length));
  };
  const dx = move(x * view.zoom + view.x, width * view.zoom, size.width);
  const dy = move(y * view.zoom + view.y, height * view.zoom, size.height);
  return dx === 0 && dy === 0
    ? desk
    : { ...desk, view: { ...view, x: view.x + dx, y: view.y + dy } };
}

export function toWorld({ view }: Desk, { x, y }: Point): Point {
  return { x: (x - view.x) / view.zoom, y: (y - view.y) / view.zoom };
}
