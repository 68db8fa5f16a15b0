/**
 * Lesson 19: the dashboard's program.
 *
 *     main.ts       start: state, address, needs, and a picture per frame
 *     frame.ts      what stands around each view: navigation, banners, notices
 *     overlay.ts    what lies above it: the list of keys, questions; palette.ts goes anywhere
 *     state.ts      everything that the page knows, and the function that changes it
 *     samples.ts    how busy the cluster was: what charts show
 *     rows.ts       the shapes of runs, jobs, workers, …
 *     gates.ts      open gates and answers; agents.ts trees, brakes and stages of agent runs
 *     api.ts        requests, with errors in words
 *     stream.ts     the connection that keeps the page true; sse.ts its messages; seats.ts for whom
 *     needs.ts      what the view that is shown has asked for, again and again
 *     router.ts     addresses and views
 *     keys.ts       from keys to what they mean
 *     announce.ts   what people who listen are told
 *     pace.ts       when the page is drawn
 *     vdom.ts       trees, and the document made like them
 *     theme.ts      light or dark
 *     views/        one file a view; the view by that name says how they are written
 *     parts/        what views consist of
 *     run/          the page of a run: the address, the chosen job, its twin as a table, events
 *     graph/        the graph of a run, and what the pointer and the keys do there
 *     timeline/     what the jobs of a run did when
 *     logs/         output: lines, colours, search
 *     build/        the constructor; the view by that name has its map
 *     past/         time travel: facts, what they have changed, and the slider over them
 *     lists/        long lists, of which only the rows on the screen exist
 *     style/        how it looks
 *
 * Test: test/19-dashboard.frame.test.ts
 */
import { QUIET_MS, tell } from "./announce.ts";
import { api } from "./api.ts";
import { frame, frameNeeds, titleOf } from "./frame.ts";
import { KeyReader } from "./keys.ts";
import { Needs } from "./needs.ts";
import { globalKeys, show } from "./overlay.ts";
import { Pace } from "./pace.ts";
import type { Question } from "./parts/dialog.ts";
import { routeOf } from "./router.ts";
import { EMPTY, reduce, type Action, type State } from "./state.ts";
import { Stream } from "./stream.ts";
import { patch } from "./vdom.ts";
import { VIEWS, warmRun } from "./views/all.ts";
import type { Context, View } from "./views/view.ts";

/** Relative times and waits go on by themselves. */
const TICK_MS = 1_000;
/** Two clocks of one machine part by more when it has slept, or when somebody sets one of them. */
const JUMP_MS = 3_000;

const root = document.querySelector("#titan")!;
let state: State = EMPTY;

/** What happens by itself, again and again. All else is an answer to a person. */
const UNASKED: ReadonlySet<Action["type"]> = new Set(["rows", "facts", "tick"]);

const channel = new MessageChannel();
const pace = new Pace({
  now: () => performance.now(),
  nextFrame: (work) => void requestAnimationFrame(work),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
  // A message comes when the frame is over.
  behind(work) {
    channel.port1.onmessage = work;
    channel.port2.postMessage(0);
  },
  isHidden: () => document.hidden,
  draw: () => render(),
});

function dispatch(action: Action): void {
  const next = reduce(state, action);
  if (next === state) return;
  state = next;
  pace.want({ isOurs: !UNASKED.has(action.type) });
}

const stream = new Stream({ api, dispatch });
const needs = new Needs({ api, dispatch, follow: (runs) => stream.follow(runs) });

function current(): { view: View; context: Context } {
  const url = new URL(location.href);
  const { view, params } = routeOf(url.pathname);
  const context: Context = {
    url, params, api, navigate, dispatch, announce, act, confirm, latest: () => state,
    refresh: () => needs.refresh(),
  };
  return { view: VIEWS[view], context };
}

/** What stands on the screen. */
let shown: State | undefined;

function render(): void {
  shown = state;
  const { view, context } = current();
  const own = view.needs?.(context, state) ?? [];
  needs.set([...frameNeeds(state), ...own], context.url.pathname);
  document.title = titleOf(state, { view, context });
  patch(root, frame(state, { view, context }));
  listen();
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

/** What was told last, and when, so that a busy cluster does not talk without end. */
let told = state;
let toldAt = -Infinity;

function listen(): void {
  if (performance.now() - toldAt < QUIET_MS) return;
  const text = tell(told, state);
  told = state;
  if (text === "") return;
  toldAt = performance.now();
  announce(text);
}

async function act(work: () => Promise<unknown>, done?: string): Promise<void> {
  try {
    await work();
    if (done !== undefined) dispatch({ type: "notice", kind: "done", text: done });
  } catch (error) {
    dispatch({ type: "notice", kind: "problem", text: (error as Error).message });
  }
}

function confirm(question: Question): Promise<boolean> {
  return new Promise((answer) => dispatch(show({ type: "question", question, answer })));
}

/** A link to one of our views is followed here; every other click is the browser's own. */
function follow(event: MouseEvent): void {
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey &&
    !event.altKey;
  const link = (event.target as Element).closest("a");
  if (!isPlain || event.defaultPrevented || link === null || link.target !== "") return;
  const href = link.getAttribute("href") ?? "";
  const url = new URL(href, location.href);
  const isOurs = url.origin === location.origin && !link.hasAttribute("download") &&
    !href.startsWith("#") && !/^\/(?:api|assets)\//.test(url.pathname);
  if (!isOurs) return;
  event.preventDefault();
  navigate(url.href);
}

/** By the browser's clock, and by that which only runs. */
let last = { wall: Date.now(), ran: performance.now() };

function tick(): void {
  const next = { wall: Date.now(), ran: performance.now() };
  const jump = Math.abs(next.wall - last.wall - (next.ran - last.ran));
  last = next;
  dispatch({ type: "tick", wall: next.wall });
  if (jump > JUMP_MS) stream.renew();
}

const keys = new KeyReader();

function press(event: KeyboardEvent): void {
  // A window above the page has keys of its own.
  if (event.defaultPrevented || document.querySelector("dialog[open]") !== null) return;
  const { view, context } = current();
  const target = event.target as HTMLElement;
  const isTyping = target.matches("[contenteditable], input:not([type=range]), textarea, select");
  const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
  const meant = keys.read(
    { key, ctrlKey, metaKey, altKey, shiftKey, isTyping, at: performance.now() },
    [...(view.keys?.(state, context) ?? []), ...globalKeys(context)],
  );
  if (meant === undefined) return;
  event.preventDefault();
  meant.run();
}

/** A button acts on what is in the fields now, and not on what was there at the last picture. */
function catchUp(): void {
  if (shown !== state) render();
}

addEventListener("click", catchUp, { capture: true });
addEventListener("submit", catchUp, { capture: true });
addEventListener("cancel", catchUp, { capture: true });
addEventListener("click", follow);
addEventListener("keydown", press);
addEventListener("popstate", render);
addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  // A browser that has slept for a day has a state of yesterday.
  tick();
  render();
});
setInterval(tick, TICK_MS);
tick();
render();
void stream.run();
// Safari has no idle callbacks.
(globalThis.requestIdleCallback ?? setTimeout)(warmRun);
