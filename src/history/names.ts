/**
 * Lesson 10: what the numbers of all events mean, and which runs there ever were.
 *
 * Told in any order: names are learned once, on the way through the log, and never forgotten, also
 * those of runs that the master has forgotten.
 *
 * Invariant: what is remembered is bounded by the log, which has each of these names in it.
 * Test: test/10-master.history.test.ts
 */
import { hint } from "#base";
import { Names, runOf, type Event, type State } from "#core";
import { HistoryError } from "./errors.ts";

/** A run that there was. */
export interface PastRun {
  readonly number: number;
  readonly id: string;
  readonly submittedAt: number;
  /** The fact that made it; 0: it is older than the front of the log. */
  readonly seq: number;
  /** The fact by which it was forgotten. */
  forgotten: number | undefined;
}

/** The run that was submitted last. No id begins so. */
const LATEST = "@latest";
/** Ids that are named when a beginning fits several runs. */
const MAX_LISTED = 10;

/** The numbers of the runs that a fact is about. */
export function runsOf(event: Event): readonly number[] {
  if (event.type === "RunsForgotten" || event.type === "RunsLetGo") return event.runs;
  if (event.type === "ArtifactsRemoved") return event.gone.flatMap(({ run }) => run ?? []);
  const run = runOf(event);
  return run === undefined ? [] : [run];
}

export class PastNames extends Names {
  readonly #runs = new Map<string, PastRun>();
  readonly #byNumber = new Map<number, PastRun>();
  #latest: PastRun | undefined;

  /** On the way through the log, once for each fact. */
  teach(seq: number, event: Event): void {
    if ("spec" in event) this.#add({ ...event, number: event.run, submittedAt: event.at, seq });
    if (event.type === "RunsForgotten" || event.type === "RunsLetGo") {
      for (const number of event.runs) this.#markForgotten(number, seq);
    }
    // A worker that is lost is still spoken of here.
    if (event.type !== "WorkerLost") super.learn(event);
  }

  /** The runs of the front of the log. */
  teachFront(state: State): void {
    for (const { number, id, submittedAt } of state.runs.values()) {
      this.#add({ number, id, submittedAt, seq: 0 });
    }
  }

  /** Everything is known. */
  override learn(): void {}

  override forget(): void {}

  #add({ number, id, submittedAt, seq }: Omit<PastRun, "forgotten">): void {
    const run: PastRun = { number, id, submittedAt, seq, forgotten: undefined };
    this.#runs.set(id, run);
    this.#byNumber.set(number, run);
    this.#latest = run;
  }

  #markForgotten(number: number, seq: number): void {
    const run = this.#byNumber.get(number);
    if (run !== undefined) run.forgotten = seq;
  }

  /**
   * By its id, the beginning of one, or @latest.
   *
   * @throws {HistoryError}
   */
  find(typed: string): PastRun {
    const found = typed === LATEST ? this.#latest : this.#runs.get(typed);
    if (found !== undefined) return found;
    const ids = [...this.#runs.keys()];
    const fitting = typed === "" ? [] : ids.filter((id) => id.startsWith(typed));
    if (fitting.length === 1) return this.#runs.get(fitting[0]!)!;
    if (fitting.length === 0) {
      const why = ids.length === 0 ? "there are no runs in it" : "no run in it begins so";
      throw new HistoryError("NOT_FOUND",
        `Cannot find run "${typed}" in the log: ${why}${hint(typed, ids)}`);
    }
    const rest = fitting.length - MAX_LISTED;
    const more = rest > 0 ? ` and ${rest} more` : "";
    throw new HistoryError("INVALID",
      `Cannot choose a run: "${typed}" fits ${fitting.slice(0, MAX_LISTED).join(", ")}${more}`);
  }
}
