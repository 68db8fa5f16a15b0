/**
 * Lesson 19: the dashboard's program.
 *
 *     main.ts       start: state, address, needs, and a picture per frame
 *     frame.ts      what stands around each view: navigation, banners, notices
 *     state.ts      everything that the page knows, and the function that changes it
 *     rows.ts       the shapes of runs, jobs, workers, …
 *     gates.ts      open gates and answers; agents.ts trees, brakes and stages of agent runs
 *     api.ts        requests, with errors in words
 *     stream.ts     the connection that keeps the page true; sse.ts its messages
 *     needs.ts      what the view that is shown has asked for, again and again
 *     router.ts     addresses and views
 *     vdom.ts       trees, and the document made like them
 *     theme.ts      light or dark
 *     views/        one file a view; the view by that name says how they are written
 *     parts/        what views consist of
 *     graph/        the graph of a run, and what the pointer and the keys do there
 *     timeline/     what the jobs of a run did when
 *     logs/         output: lines, colours, search
 *     lists/        long lists, of which only the rows on the screen exist
 *     style/        how it looks
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { api } from "./api.ts";
import { frame } from "./frame.ts";
import { Needs } from "./needs.ts";
import { routeOf } from "./router.ts";
import { EMPTY, reduce, type Action, type State } from "./state.ts";
import { Stream } from "./stream.ts";
import { patch } from "./vdom.ts";
import { VIEWS } from "./views/all.ts";
import type { Context, View } from "./views/view.ts";

/** Relative times and waits go on by themselves. */
const TICK_MS = 1_000;

const root = document.querySelector("#titan")!;
let state: State = EMPTY;
let isDrawing = false;

function dispatch(action: Action): void {
  const next = reduce(state, action);
  if (next === state) return;
  state = next;
  draw();
}

/** All changes of a frame are one picture. A tab in the background has no frames. */
function draw(): void {
  if (isDrawing) return;
  isDrawing = true;
  const show = (): void => {
    isDrawing = false;
    render();
  };
  if (document.hidden) setTimeout(show, TICK_MS);
  else requestAnimationFrame(show);
}

const stream = new Stream({ api, dispatch });
const needs = new Needs({ api, dispatch, follow: (runs) => stream.follow(runs) });

function viewOf(url: URL): { view: View; context: Context } {
  const { view, params } = routeOf(url.pathname);
  const context: Context = {
    url, params, api, navigate, dispatch, announce, act, refresh: () => needs.refresh(),
  };
  return { view: VIEWS[view], context };
}

function render(): void {
  const { view, context } = viewOf(new URL(location.href));
  needs.set(view.needs?.(context) ?? []);
  document.title = `${view.title?.(context) ?? view.name} · Titan`;
  patch(root, frame(state, { view, context }));
}

function navigate(to: string, { replace = false }: { readonly replace?: boolean } = {}): void {
  const url = new URL(to, location.href);
  const before = location.pathname;
  if (replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  render();
  if (url.pathname === before) return;
  // As a page that loads: at its top, and read from its heading on.
  scrollTo(0, 0);
  document.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
}

function announce(text: string): void {
  dispatch({ type: "ui", key: "announced", value: text });
}

async function act(work: () => Promise<unknown>, done?: string): Promise<void> {
  try {
    await work();
    if (done !== undefined) dispatch({ type: "notice", kind: "done", text: done });
  } catch (error) {
    dispatch({ type: "notice", kind: "problem", text: (error as Error).message });
  }
}

/** A link to one of our views is followed here; every other click is the browser's own. */
function follow(event: MouseEvent): void {
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey &&
    !event.altKey;
  const link = (event.target as Element).closest("a");
  if (!isPlain || event.defaultPrevented || link === null || link.target !== "") return;
  const url = new URL(link.getAttribute("href") ?? "", location.href);
  const isOurs = url.origin === location.origin && !link.hasAttribute("download") &&
    !/^\/(?:api|assets)\//.test(url.pathname);
  if (!isOurs) return;
  event.preventDefault();
  navigate(url.href);
}

addEventListener("click", follow);
addEventListener("popstate", render);
addEventListener("visibilitychange", () => {
  if (!document.hidden) render();
});
setInterval(() => dispatch({ type: "tick", wall: Date.now() }), TICK_MS);
dispatch({ type: "tick", wall: Date.now() });
render();
void stream.run();
