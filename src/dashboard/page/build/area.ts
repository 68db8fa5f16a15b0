/**
 * Lesson 19: the frame of the canvas: it takes pointers and keys, and knows its size.
 *
 * Test: test/19-dashboard.build.page.test.ts
 */
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { world, type Statuses } from "./canvas.ts";
import { fitted, update, type Desk } from "./desk.ts";
import { keydown } from "./keys.ts";
import { map } from "./map.ts";
import { down, move, up, wheel } from "./pointer.ts";

/** A port has three pixels then: nobody hits it. */
const TINY = 0.2;

export function canvas(desk: Desk, context: Context, statuses: Statuses): VNode {
  const { board, view } = desk;
  const jobs = board.document.jobs.length;
  const grid = 20 * view.zoom;
  return h("div", {
    class: "build-canvas", role: "group", tabindex: jobs === 0 ? 0 : -1,
    "aria-label": `Canvas, ${jobs} jobs`, "data-frozen": board.refusal !== undefined || undefined,
    "data-zoom": view.zoom < TINY ? "tiny" : view.zoom < 0.5 ? "far" : undefined,
    style: {
      "background-size": `${grid}px ${grid}px`, "background-position": `${view.x}px ${view.y}px`,
    },
    onpointerdown: (event: PointerEvent) => down(context, event),
    onpointermove: (event: PointerEvent) => move(context, event),
    onpointerup: (event: PointerEvent) => up(context, event),
    onpointercancel: (event: PointerEvent) => up(context, event),
    onkeydown: (event: KeyboardEvent) => keydown(context, event),
    hook: { mount: (element: HTMLElement) => measured(element, context) },
  }, world(desk, statuses), map(desk, context), above(desk));
}

/** What lies over the nodes and does not move with them. */
function above(desk: Desk): Child {
  const { board, gesture } = desk;
  if (board.refusal !== undefined) {
    const { line, reason } = board.refusal;
    return h(
      "div",
      { class: "build-veil", role: "alert" },
      h("p", null, h("strong", null, "The canvas waits. "), `Line ${line} of the YAML: ${reason}.`),
    );
  }
  if (gesture?.type === "edge" && gesture.problem !== undefined) {
    return h("div", { class: "build-why", role: "status" }, gesture.problem);
  }
  const { jobs } = board.document;
  if (jobs.length > 1 && jobs.every(({ parents }) => parents.length === 0)) {
    return h("p", { class: "build-hint build-help" }, "Drag from the circle of a job to another " +
      "job, which then waits for it.");
  }
  if (jobs.length > 0) return null;
  return h("div", { class: "build-start" },
    h("p", null, "Nothing here yet."),
    h("p", { class: "build-help" }, "“Task” makes the first job, and “Run” starts them all. " +
      "“Open…” has drafts, files and past runs."));
}

/** Knows its size at all times, and takes the wheel, which a page would otherwise scroll by. */
function measured(element: HTMLElement, context: Context): () => void {
  const turn = (event: WheelEvent): void => wheel(context, event);
  // Tab, a screen reader or a click: the node that has the focus is the one that Tab comes back to.
  const focused = ({ target }: FocusEvent): void => {
    const key = (target as HTMLElement).dataset["key"];
    if (key !== undefined) update(context, (desk) => ({ ...desk, focus: key }));
  };
  element.addEventListener("focusin", focused);
  element.addEventListener("wheel", turn, { passive: false });
  const observer = new ResizeObserver(() => {
    const { clientWidth: width, clientHeight: height } = element;
    update(context, (desk) => {
      const next = { ...desk, size: { width, height } };
      return desk.size.width === 0 ? fitted(next) : next;
    });
  });
  observer.observe(element);
  return () => {
    observer.disconnect();
    element.removeEventListener("wheel", turn);
    element.removeEventListener("focusin", focused);
  };
}
