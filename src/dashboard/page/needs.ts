/**
 * Lesson 19: what the shown view needs is asked for now, and again as often as it says. Another
 * view, other needs; an answer that comes too late for its view is kept all the same.
 *
 * Invariant: of one path there is one request at a time.
 * Test: test/19-dashboard.shell.test.ts
 */
import { ApiError, type Api } from "./api.ts";
import type { Action } from "./state.ts";
import type { Need } from "./views/view.ts";

interface Asked {
  readonly everyMs: number | undefined;
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

  constructor(options: NeedsOptions) {
    this.#options = options;
    addEventListener("visibilitychange", () => {
      if (!document.hidden) this.refresh();
    });
  }

  set(needs: readonly Need[]): void {
    this.#options.follow(needs.flatMap((need) => (need.type === "run" ? [need.id] : [])));
    const wanted = new Map(
      needs.flatMap((need) => (need.type === "get" ? [[need.path, need.everyMs] as const] : [])),
    );
    for (const [path, asked] of this.#asked) {
      if (wanted.has(path) && wanted.get(path) === asked.everyMs) continue;
      asked.isWanted = false;
      clearTimeout(asked.timer);
      this.#asked.delete(path);
    }
    for (const [path, everyMs] of wanted) {
      if (this.#asked.has(path)) continue;
      const asked = { everyMs, timer: undefined, isRunning: false, isWanted: true };
      this.#asked.set(path, asked);
      void this.#ask(path, asked);
    }
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
    try {
      dispatch({ type: "loaded", path, value: await api.get(path) });
    } catch (error) {
      const { status, message } = error as ApiError;
      dispatch({ type: "failed", path, error: { status, message } });
    }
    asked.isRunning = false;
    if (!asked.isWanted || asked.everyMs === undefined) return;
    clearTimeout(asked.timer);
    asked.timer = setTimeout(() => {
      // Nobody looks: it is asked when somebody does.
      if (!document.hidden) void this.#ask(path, asked);
    }, asked.everyMs);
  }
}
