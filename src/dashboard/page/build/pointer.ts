/**
 * Lesson 19: pointers on the canvas: mouse, pen and fingers.
 *
 *     on a node     drag: the selected nodes move · click: select (Shift: too)
 *     on a port     drag to another node: an edge
 *     on an edge    click: select
 *     elsewhere     drag: move the canvas · Shift and drag: select what is inside
 *     wheel         nearer, farther; two fingers: the same
 *
 * And on the buttons of the toolbar: a drag brings a new job to its place on the canvas.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import type { Context } from "../views/view.ts";
import { moved, selected, selectedEdge } from "./board.ts";
import {
  onBoard, toWorld, update, zoomed, currentDesk, type Desk, type Gesture,
} from "./desk.ts";
import { add, connectJobs } from "./deeds.ts";
import type { JobKind } from "./document.ts";
import { edgeProblem } from "./edges.ts";
import { inside, NODE, snap, type Box, type Point } from "./graph.ts";

/** A hand shakes: less than this is a click. */
const CLICK_PX = 4;
const WHEEL = 0.0015;

interface Press {
  readonly start: Point;
  readonly what: "nodes" | "band" | "edge" | "canvas";
  readonly key: string | undefined;
  readonly shift: boolean;
  /** Where the canvas was. */
  readonly view: Point;
  isDrag: boolean;
}

const pointers = new Map<number, Point>();
let press: Press | undefined;
let pinch: { distance: number; middle: Point } | undefined;

function pointOf(event: PointerEvent | WheelEvent): Point {
  const { left, top } = (event.currentTarget as HTMLElement).getBoundingClientRect();
  return { x: event.clientX - left, y: event.clientY - top };
}

function keyAt(target: EventTarget | null): string | undefined {
  return (target as Element | null)?.closest<HTMLElement>(".build-node")?.dataset["key"];
}

export function down(context: Context, event: PointerEvent): void {
  const canvas = event.currentTarget as HTMLElement;
  if ((event.target as Element).closest("button, input, select")) return;
  if (event.button > 1) return;
  const start = pointOf(event);
  pointers.set(event.pointerId, start);
  try {
    canvas.setPointerCapture(event.pointerId);
  } catch {
    // A pointer that is gone already.
  }
  if (pointers.size === 2) return beginPinch(context);
  const desk = currentDesk();
  const target = event.target as Element;
  const key = keyAt(target);
  const isPort = target.closest("[data-port=out]") !== null;
  const isBand = key === undefined && event.shiftKey;
  const what = event.button === 1 ? "canvas" : isPort ? "edge" : key !== undefined ? "nodes" :
    isBand ? "band" : "canvas";
  const { x, y } = desk.view;
  press = { start, what, key, shift: event.shiftKey, view: { x, y }, isDrag: false };
  if (desk.board.refusal !== undefined && what !== "band") press = { ...press, what: "canvas" };
  const edge = target.closest<SVGElement>(".build-edge");
  if (edge !== null && key === undefined) {
    const { from, to } = edge.dataset as { from: string; to: string };
    update(context, onBoard((board) => selectedEdge(board, from, to)));
    press = undefined;
  }
  canvas.focus({ preventScroll: true });
  if (key !== undefined) {
    target.closest<HTMLElement>(".build-node")?.focus({ preventScroll: true });
    // A drag takes along what is selected; a node outside of that is selected first.
    update(context, (now) => ({ ...now, focus: key, board: now.board.selection.has(key) ||
      event.shiftKey ? now.board : selected(now.board, [key]) }));
  }
}

export function move(context: Context, event: PointerEvent): void {
  if (!pointers.has(event.pointerId)) return;
  const at = pointOf(event);
  pointers.set(event.pointerId, at);
  if (pinch !== undefined) return doPinch(context);
  if (press === undefined) return;
  const [dx, dy] = [at.x - press.start.x, at.y - press.start.y];
  if (!press.isDrag && Math.hypot(dx, dy) < CLICK_PX) return;
  press.isDrag = true;
  const { what, view, key, start } = press;
  update(context, (desk) => {
    if (what === "canvas") {
      return { ...desk, view: { ...desk.view, x: view.x + dx, y: view.y + dy } };
    }
    const { zoom } = desk.view;
    if (what === "nodes") {
      const board = desk.board.selection.has(key!) ? desk.board :
        selected(desk.board, [...desk.board.selection, key!]);
      return {
        ...desk,
        board,
        gesture: { type: "nodes", by: snapped(desk, key!, dx / zoom, dy / zoom) },
      };
    }
    if (what === "band") {
      return { ...desk, gesture: { type: "band", box: between(desk, start, at) } };
    }
    return { ...desk, gesture: edgeTo(desk, key!, at, event) };
  });
}

/** The node under the pointer comes to stand on the grid, and the others keep their distance. */
function snapped({ board }: Desk, key: string, dx: number, dy: number): Point {
  const at = board.positions.get(key) ?? { x: 0, y: 0 };
  return { x: snap(at.x + dx) - at.x, y: snap(at.y + dy) - at.y };
}

function between(desk: Desk, a: Point, b: Point): Box {
  const [from, to] = [toWorld(desk, a), toWorld(desk, b)];
  return {
    x: Math.min(from.x, to.x), y: Math.min(from.y, to.y),
    width: Math.abs(to.x - from.x), height: Math.abs(to.y - from.y),
  };
}

function edgeTo(desk: Desk, from: string, at: Point, event: PointerEvent): Gesture {
  const over = keyAt(document.elementFromPoint(event.clientX, event.clientY));
  const to = toWorld(desk, at);
  const { document: own } = desk.board;
  const [parent, child] = [
    own.byKey.get(from),
    over === undefined ? undefined : own.byKey.get(over),
  ];
  if (parent === undefined || child === undefined || over === from) {
    return { type: "edge", from, to };
  }
  const problem = edgeProblem(own, parent, child);
  return { type: "edge", from, to, over: child.key, ...(problem !== undefined && { problem }) };
}

export function up(context: Context, event: PointerEvent): void {
  pointers.delete(event.pointerId);
  if (pointers.size < 2) pinch = undefined;
  const done = press;
  if (done === undefined) return;
  press = undefined;
  const { gesture } = currentDesk();
  if (event.type === "pointercancel") {
    update(context, (desk) => ({ ...desk, gesture: undefined }));
    return;
  }
  if (!done.isDrag) return click(context, done);
  if (gesture?.type === "edge") {
    update(context, (desk) => ({ ...desk, gesture: undefined }));
    if (gesture.over !== undefined) connectJobs(context, gesture.from, gesture.over);
    return;
  }
  update(context, (desk) => {
    const rest = { ...desk, gesture: undefined };
    if (gesture?.type === "nodes") return { ...rest, board: dropped(desk, gesture.by) };
    if (gesture?.type !== "band") return rest;
    return { ...rest, board: selected(desk.board, inside(desk.board.positions, gesture.box)) };
  });
}

function dropped({ board }: Desk, { x: dx, y: dy }: Point): Desk["board"] {
  if (dx === 0 && dy === 0) return board;
  const positions = new Map(board.positions);
  for (const key of board.selection) {
    const at = positions.get(key);
    if (at !== undefined) positions.set(key, { x: at.x + dx, y: at.y + dy });
  }
  return moved(board, positions);
}

function click(context: Context, { key, shift, what }: Press): void {
  update(context, onBoard((board) => {
    if (key === undefined) return what === "canvas" ? selected(board, []) : board;
    if (!shift) return selected(board, [key]);
    const keys = new Set(board.selection);
    if (!keys.delete(key)) keys.add(key);
    return selected(board, keys);
  }));
}

export function wheel(context: Context, event: WheelEvent): void {
  event.preventDefault();
  const point = pointOf(event);
  // A pinch on a touchpad comes as a wheel with Ctrl, in smaller steps.
  const factor = Math.exp(-event.deltaY * WHEEL * (event.ctrlKey ? 6 : 1));
  update(context, (desk) => zoomed(desk, factor, point));
}

function twoFingers(): { distance: number; middle: Point } {
  const [a, b] = [...pointers.values()] as [Point, Point];
  return {
    distance: Math.hypot(a.x - b.x, a.y - b.y),
    middle: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 },
  };
}

function beginPinch(context: Context): void {
  press = undefined;
  pinch = twoFingers();
  update(context, (desk) => ({ ...desk, gesture: undefined }));
}

function doPinch(context: Context): void {
  const [was, now] = [pinch!, twoFingers()];
  pinch = now;
  update(context, (desk) => {
    const near = zoomed(desk, now.distance / Math.max(1, was.distance), was.middle);
    const { view } = near;
    return { ...near, view: { ...view, x: view.x + now.middle.x - was.middle.x,
      y: view.y + now.middle.y - was.middle.y } };
  });
}

// ── from the toolbar ─────────────────────────────────────────────────────────────────────────────

/** Where a new job would come to stand. Undefined: the pointer is not over the canvas. */
function placeUnder({ clientX, clientY }: MouseEvent): Box | undefined {
  const under = document.elementFromPoint(clientX, clientY)?.closest(".build-canvas");
  if (!under) return undefined;
  const { left, top } = under.getBoundingClientRect();
  const { x, y } = toWorld(currentDesk(), { x: clientX - left, y: clientY - top });
  return { x: snap(x - NODE.width / 2), y: snap(y - NODE.height / 2), ...NODE };
}

/** A click adds a job where there is room; a drag where it ends. */
export function brought(context: Context, kind: JobKind): Record<string, unknown> {
  const show = (box: Box | undefined): void => void update(context, (desk) =>
    ({ ...desk, gesture: box && { type: "band", box } }));
  return {
    onpointerdown: ({ currentTarget, pointerId }: PointerEvent) =>
      (currentTarget as Element).setPointerCapture(pointerId),
    onpointermove: (event: PointerEvent) => {
      if (event.buttons > 0) show(placeUnder(event));
    },
    onpointercancel: () => show(undefined),
    onpointerup: (event: PointerEvent) => {
      const place = placeUnder(event);
      if (place === undefined) return;
      show(undefined);
      add(context, kind, place);
    },
    onclick: ({ currentTarget, detail, clientX, clientY }: MouseEvent) => {
      const under = document.elementFromPoint(clientX, clientY);
      // The end of a drag is a click, too. The keyboard's (0) has no place.
      if (detail === 0 || (currentTarget as Element).contains(under)) add(context, kind);
    },
  };
}
