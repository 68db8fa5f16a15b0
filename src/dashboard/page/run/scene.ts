/**
 * Lesson 19: what is needed to show a run, worked out once for all of its views.
 *
 * Test: test/19-dashboard.run.view.test.ts
 */
import { stackOf } from "../graph/model.ts";
import type { Fact, Job, Run } from "../rows.ts";
import type { State } from "../state.ts";
import { Attempts, type JobFact } from "../timeline/attempts.ts";
import type { Context } from "../views/view.ts";
import { allFacts, type History } from "./history.ts";
import { runJobs, type RunJobs } from "./jobs.ts";
import { addressOf, selectionOf, type Selection } from "./selection.ts";

export interface Scene {
  readonly state: State;
  readonly context: Context;
  readonly run: Run;
  readonly jobs: RunJobs;
  readonly selection: Selection;
  /** The number of the chosen job, if there is such a job. */
  readonly chosen: number | undefined;
  /** Stacks that stand open. */
  readonly opened: ReadonlySet<string>;
  readonly facts: readonly Fact[];
  readonly attempts: Attempts;
  readonly history: History | undefined;
  /** It is the run as it was at a moment of its past. */
  readonly isPast: boolean;
  choose(job: number): void;
  address(change: Partial<Selection>): string;
}

/** Of the run that is on the screen: the structure of its jobs must stay the same object. */
let kept: { run: string; jobs: RunJobs } | undefined;
const NONE: ReadonlySet<string> = new Set();

export function sceneOf(
  state: State, context: Context,
  { run, rows, past }: {
    run: Run; rows: ReadonlyMap<string, Job>;
    past?: { readonly facts: readonly Fact[]; readonly attempts: Attempts } | undefined;
  },
): Scene {
  const { url, navigate } = context;
  const jobs = runJobs(rows, kept?.run === run.id ? kept.jobs : undefined);
  kept = { run: run.id, jobs };
  const selection = selectionOf(url);
  const address = (change: Partial<Selection>): string => addressOf(url, change);
  const history = past === undefined
    ? state.ui[historyKey(run.id)] as History | undefined : { facts: past.facts, note: "" };
  const choose = (job: number): void => {
    const { id } = jobs.rows[job]!;
    if (id !== selection.job) navigate(address({ job: id }));
  };
  return {
    state, context, run, jobs, selection, history, choose, address,
    chosen: selection.job === undefined ? undefined : jobs.numbers.get(selection.job),
    opened: openedWith(state.ui[openedKey(run.id)] as ReadonlySet<string> | undefined, {
      jobs, chosen: selection.job,
    }),
    isPast: past !== undefined,
    // They are thousands, and two views of six look at them.
    get facts() {
      return past?.facts ?? allFacts(run.id, history, state.facts.get(run.id) ?? []);
    },
    get attempts() {
      return past?.attempts ?? new Attempts().read(this.facts as readonly JobFact[]);
    },
  };
}

export function openedKey(run: string): string {
  return `run.opened ${run}`;
}

export function historyKey(run: string): string {
  return `run.history ${run}`;
}

const withChosen = new WeakMap<ReadonlySet<string>, { stack: string; all: ReadonlySet<string> }>();

/** The stacks that a person has opened, and that of the chosen job: the address may name it. */
function openedWith(
  opened: ReadonlySet<string> = NONE,
  { jobs, chosen }: { jobs: RunJobs; chosen: string | undefined },
): ReadonlySet<string> {
  const number = chosen === undefined ? undefined : jobs.numbers.get(chosen);
  const stack = number === undefined ? undefined : stackOf(jobs.structure, number);
  if (stack === undefined || opened.has(stack)) return opened;
  const known = withChosen.get(opened);
  if (known?.stack === stack) return known.all;
  const all = new Set(opened).add(stack);
  withChosen.set(opened, { stack, all });
  return all;
}
