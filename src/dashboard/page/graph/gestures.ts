/**
 * Lesson 19: pointer, wheel and keys on a graph.
 *
 *     drag        moves the picture           wheel, pinch   zooms around the pointer
 *     click       chooses a job, opens a stack
 *     arrows      along edges, and up and down in a column
 *     + - 0       zoom, and all of it
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import type { Board } from "./board.ts";
import { pan, zoomAt } from "./camera.ts";
import { walk, type Arrow } from "./index.ts";
import { worldAt } from "./minimap.ts";

/** A pointer that moved less than this has clicked. */
const CLICK_PIXELS = 4;
/** One notch of a usual wheel is 100 or 120 units: a fifth larger or smaller. */
const WHEEL = 0.0018;
const STEP = 1.3;
const ARROWS: ReadonlySet<string> = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);

interface Point {
  readonly x: number;
  readonly y: number;
}

export function listen(board: Board): () => void {
  const { root } = board;
  const control = new AbortController();
  const { signal } = control;
  root.addEventListener("wheel", (event) => {
    event.preventDefault();
    const factor = Math.exp(-event.deltaY * (event.ctrlKey ? 5 : 1) * WHEEL);
    board.move(zoomAt(board.camera, pointOf(root, event), factor));
  }, { passive: false, signal });
  const isPressed = drag(board, signal);
  root.addEventListener("click", (event) => clicked(board, event), { signal });
  root.addEventListener("keydown", (event) => pressed(board, event), { signal });
  root.addEventListener("focusin", ({ target }) => {
    const node = (target as HTMLElement).dataset["node"];
    if (node === undefined || Number(node) === board.focus) return;
    // Under a pointer that is down it stays where it is, or the click would go elsewhere.
    if (isPressed()) board.takeFocus(Number(node));
    else board.focusNode(Number(node));
  }, { signal });
  const sizes = new ResizeObserver(() => board.resize());
  sizes.observe(root);
  return () => {
    control.abort();
    sizes.disconnect();
  };
}

function pointOf(root: HTMLElement, { clientX, clientY }: MouseEvent): Point {
  const { left, top } = root.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top };
}

/** Gives a function that says whether a pointer is down. */
function drag(board: Board, signal: AbortSignal): () => boolean {
  const { root } = board;
  const pointers = new Map<number, Point>();
  let moved = 0;
  root.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (pointers.size === 0) moved = 0;
    pointers.set(event.pointerId, pointOf(root, event));
  }, { signal });
  root.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (before === undefined) return;
    const point = pointOf(root, event);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, point);
    moved += Math.abs(point.x - before.x) + Math.abs(point.y - before.y);
    if (moved < CLICK_PIXELS) return;
    // From here on it is no click, and the pointer may leave.
    root.setPointerCapture(event.pointerId);
    root.classList.add("is-moving");
    if (inMap(event.target)) return;
    if (other !== undefined) pinch(board, other, { before, point });
    else slide(board, { x: point.x - before.x, y: point.y - before.y });
  }, { signal });
  const end = (event: PointerEvent): void => {
    pointers.delete(event.pointerId);
    root.classList.remove("is-moving");
  };
  root.addEventListener("pointerup", end, { signal });
  root.addEventListener("pointercancel", end, { signal });
  root.addEventListener("click", (event) => {
    if (moved < CLICK_PIXELS) return;
    moved = 0;
    event.stopImmediatePropagation();
  }, { capture: true, signal });
  return () => pointers.size > 0;
}

function slide(board: Board, by: Point): void {
  const { graph } = board;
  if (graph === undefined) return;
  board.move(pan(board.camera, by, { world: graph.picture, screen: board.size }));
}

function pinch(board: Board, other: Point, { before, point }: { before: Point; point: Point }) {
  const away = ({ x, y }: Point): number => Math.max(1, Math.hypot(x - other.x, y - other.y));
  const middle = { x: (point.x + other.x) / 2, y: (point.y + other.y) / 2 };
  board.move(zoomAt(board.camera, middle, away(point) / away(before)));
}

function inMap(target: EventTarget | null): boolean {
  return (target as Element | null)?.closest(".minimap") !== null;
}

function clicked(board: Board, event: MouseEvent): void {
  const { graph, props } = board;
  if (graph === undefined || props === undefined) return;
  if (inMap(event.target)) {
    const map = (event.target as Element).closest(".minimap")!.getBoundingClientRect();
    const at = worldAt(graph.picture, { x: event.clientX - map.left, y: event.clientY - map.top });
    const { zoom } = board.camera;
    const { width, height } = board.size;
    board.move({ x: at.x - width / zoom / 2, y: at.y - height / zoom / 2, zoom });
    return;
  }
  const named = (event.target as Element).closest<HTMLElement>("[data-node]")?.dataset["node"];
  const point = pointOf(board.root, event);
  const { x, y, zoom } = board.camera;
  const node = named === undefined ? graph.index.at(x + point.x / zoom, y + point.y / zoom)
    : Number(named);
  if (node === undefined) return;
  const { key, jobs } = graph.model.nodes[node]!;
  if (jobs.length > 1) props.open(key);
  else props.choose(jobs[0]!);
}

function pressed(board: Board, event: KeyboardEvent): void {
  const { graph } = board;
  if (graph === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  if (ARROWS.has(event.key)) {
    const { model: { parents, children } } = graph;
    let node: number | undefined = board.focus;
    // With Shift ten steps at once.
    for (let step = event.shiftKey ? 10 : 1; step > 0; step--) {
      const next: number | undefined =
        walk(event.key as Arrow, node, { ...graph, parents, children });
      if (next === undefined) break;
      node = next;
    }
    board.focusNode(node);
  } else if (event.key === "+" || event.key === "=") {
    board.zoom(STEP);
  } else if (event.key === "-") board.zoom(1 / STEP);
  else if (event.key === "0") board.fit();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
