/**
 * Lesson 19: what the shown view needs is asked for now, and again as often as it says. Another
 * view, other needs; an answer that comes too late for its view is kept all the same, as are the
 * last MAX_LEFT of earlier views.
 *
 * Invariants: of one path there is one request at a time; answers to what nobody needs do not pile
 * up.
 * Test: test/19-dashboard.shell.test.ts
 */
import { ApiError, type Api } from "./api.ts";
import type { Action } from "./state.ts";
import type { Need } from "./views/view.ts";

/** Other runs to follow are another connection. */
const FOLLOW_MS = 2_000;
/** Answers to what no view needs now: a person who comes back sees them at once. */
const MAX_LEFT = 50;

type Get = Extract<Need, { type: "get" }>;

interface Asked {
  readonly need: Get;
  timer: ReturnType<typeof setTimeout> | undefined;
  isRunning: boolean;
  isWanted: boolean;
}

export interface NeedsOptions {
  readonly api: Api;
  dispatch(action: Action): void;
  /** The runs whose jobs are needed. */
  follow(runs: readonly string[]): void;
}

export class Needs {
  readonly #options: NeedsOptions;
  readonly #asked = new Map<string, Asked>();
  /** Paths that are needed no more, the one that was left first at the beginning. */
  readonly #left = new Set<string>();
  #wanted: readonly string[] = [];
  #followed: readonly string[] = [];
  #place = "";
  #pause: ReturnType<typeof setTimeout> | undefined;

  constructor(options: NeedsOptions) {
    this.#options = options;
    addEventListener("visibilitychange", () => {
      if (!document.hidden) this.refresh();
    });
  }

  /** `place`: the view that is shown. */
  set(needs: readonly Need[], place: string): void {
    this.#follow(needs.flatMap((need) => (need.type === "run" ? [need.id] : [])), place);
    const wanted = new Map(
      needs.flatMap((need) => (need.type === "get" ? [[need.path, need] as const] : [])),
    );
    for (const [path, asked] of this.#asked) {
      if (wanted.get(path)?.everyMs === asked.need.everyMs && wanted.has(path)) continue;
      asked.isWanted = false;
      clearTimeout(asked.timer);
      this.#asked.delete(path);
      this.#leave(path);
    }
    for (const [path, need] of wanted) {
      if (this.#asked.has(path)) continue;
      this.#left.delete(path);
      const asked = { need, timer: undefined, isRunning: false, isWanted: true };
      this.#asked.set(path, asked);
      void this.#ask(path, asked);
    }
  }

  #leave(path: string): void {
    this.#left.delete(path);
    this.#left.add(path);
    const [oldest] = this.#left;
    if (this.#left.size <= MAX_LEFT || oldest === undefined) return;
    this.#left.delete(oldest);
    this.#options.dispatch({ type: "forget", path: oldest });
  }

  /** At once in another view; in one that looks at whatever runs, not more often than it says. */
  #follow(runs: readonly string[], place: string): void {
    this.#wanted = runs;
    const isSoon = place === this.#place && this.#pause !== undefined && this.#followed.length > 0;
    if (isSoon) return;
    this.#place = place;
    this.#followed = runs;
    this.#options.follow(runs);
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#followed = this.#wanted;
      this.#options.follow(this.#wanted);
    }, FOLLOW_MS);
  }

  /** Asks for everything again, now. */
  refresh(): void {
    for (const [path, asked] of this.#asked) {
      clearTimeout(asked.timer);
      void this.#ask(path, asked);
    }
  }

  async #ask(path: string, asked: Asked): Promise<void> {
    if (asked.isRunning) return;
    asked.isRunning = true;
    const { api, dispatch } = this.#options;
    const answer = await (path.startsWith("/") ? api.text(path) : api.get(path)).then(
      (value): Action => ({ type: "loaded", path, value }),
      ({ status, message }: ApiError): Action =>
        ({ type: "failed", path, error: { status, message } }),
    );
    if (this.#asked.has(path) || this.#left.has(path)) dispatch(answer);
    asked.isRunning = false;
    if (asked.isWanted) this.#later(path, asked);
  }

  #later(path: string, asked: Asked): void {
    const { everyMs, hiddenMs } = asked.need;
    clearTimeout(asked.timer);
    const ms = document.hidden ? hiddenMs : everyMs;
    if (ms === undefined) return;
    asked.timer = setTimeout(() => {
      // Nobody looks: it is asked when somebody does.
      if (!document.hidden || hiddenMs !== undefined) void this.#ask(path, asked);
    }, ms);
  }
}
