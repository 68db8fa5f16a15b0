/**
 * Lesson 19: what the shown view needs is asked for now, and again as often as it says. Another
 * view, other needs; an answer that comes too late for its view is kept all the same, as are the
 * last MAX_LEFT of earlier views.
 *
 * Answers that name nothing but themselves, as `workers`, are asked for together when they are
 * wanted equally often: fifty open pages are then one question, and the master answers it once
 * (src/http/together.ts).
 *
 * Invariants: of one path there is one request at a time; answers to what nobody needs do not pile
 * up.
 * Test: test/19-dashboard.shell.test.ts
 */
import type { Answered, Api, ApiError } from "./api.ts";
import type { Action, Problem } from "./state.ts";
import type { Need } from "./views/view.ts";

/** Other runs to follow are another connection. */
const FOLLOW_MS = 2_000;
/** Answers to what no view needs now: a person who comes back sees them at once. */
const MAX_LEFT = 50;

type Get = Extract<Need, { type: "get" }>;
type Told = Extract<Action, { type: "loaded" | "failed" }>;

interface Asked {
  readonly need: Get;
  timer: ReturnType<typeof setTimeout> | undefined;
  isRunning: boolean;
  isWanted: boolean;
  /** It was wanted anew while it was on its way: what comes may be of before. */
  isAgain?: boolean;
}

/** The runs whose jobs are needed, and whether the facts of their attempts are not. */
export interface Followed {
  readonly ids: readonly string[];
  readonly isBrief: boolean;
}

export interface NeedsOptions {
  readonly api: Api;
  dispatch(action: Action): void;
  follow(runs: Followed): void;
}

export class Needs {
  readonly #options: NeedsOptions;
  readonly #asked = new Map<string, Asked>();
  /** Paths that are needed no more, the one that was left first at the beginning. */
  readonly #left = new Set<string>();
  #wanted: Followed = { ids: [], isBrief: true };
  #followed = this.#wanted;
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
    const runs = needs.filter((need) => need.type === "run");
    const isBrief = runs.every(({ brief }) => brief === true);
    this.#follow({ ids: runs.map(({ id }) => id), isBrief }, place);
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
    const added: Asked[] = [];
    for (const [path, need] of wanted) {
      if (this.#asked.has(path)) continue;
      this.#left.delete(path);
      const asked = { need, timer: undefined, isRunning: false, isWanted: true };
      this.#asked.set(path, asked);
      added.push(asked);
    }
    this.#askAll(added);
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
  #follow(runs: Followed, place: string): void {
    this.#wanted = runs;
    const isSoon = place === this.#place && this.#pause !== undefined &&
      this.#followed.ids.length > 0;
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
    for (const asked of this.#asked.values()) asked.isAgain = asked.isRunning;
    this.#askAll([...this.#asked.values()]);
  }

  #askAll(all: readonly Asked[]): void {
    const due = all.filter(({ isRunning }) => !isRunning);
    for (const asked of due) {
      clearTimeout(asked.timer);
      asked.isRunning = true;
    }
    const isPlain = ({ need }: Asked): boolean => /^\w+$/.test(need.path);
    const plain = due.filter(isPlain);
    if (plain.length > 0) void this.#askTogether(plain);
    for (const asked of due) if (!isPlain(asked)) void this.#ask(asked);
  }

  async #askTogether(all: readonly Asked[]): Promise<void> {
    const { api } = this.#options;
    const paths = all.map(({ need }) => need.path);
    const answers = await api.several(paths).catch((error: ApiError) =>
      paths.map((get): Answered => ({ get, error })));
    for (const { get, value, error } of answers) {
      this.#tell(error === undefined
        ? { type: "loaded", path: get, value } : failure(get, error));
    }
    this.#over(all);
  }

  async #ask(asked: Asked): Promise<void> {
    const { path } = asked.need;
    this.#tell(await this.#options.api.get(path).then(
      (value): Told => ({ type: "loaded", path, value }),
      (error: ApiError) => failure(path, error),
    ));
    this.#over([asked]);
  }

  #tell(action: Told): void {
    const { path } = action;
    if (this.#asked.has(path) || this.#left.has(path)) this.#options.dispatch(action);
  }

  #over(all: readonly Asked[]): void {
    for (const asked of all) asked.isRunning = false;
    const wanted = all.filter(({ isWanted }) => isWanted);
    const again = wanted.filter(({ isAgain }) => isAgain);
    for (const asked of wanted) if (asked.isAgain !== true) this.#later(asked);
    for (const asked of again) asked.isAgain = false;
    this.#askAll(again);
  }

  #later(asked: Asked): void {
    clearTimeout(asked.timer);
    const ms = pauseOf(asked);
    if (ms === undefined) return;
    asked.timer = setTimeout(() => {
      // Nobody looks: it is asked when somebody does.
      const pace = pauseOf(asked);
      if (pace === undefined) return;
      // Those that are asked as often came with the same answer, and are due by now.
      this.#askAll([...this.#asked.values()].filter((each) => pauseOf(each) === pace));
    }, ms);
  }
}

/** Until it is asked for again. Undefined: nobody waits for it. */
function pauseOf({ need }: Asked): number | undefined {
  return document.hidden ? need.hiddenMs : need.everyMs;
}

function failure(path: string, { status, message }: Problem): Told {
  return { type: "failed", path, error: { status, message } };
}
