/**
 * The log's facts as they happen, for those who follow a whole cluster; and the rows that these
 * have changed.
 *
 * Test: test/10-master.facts.test.ts
 */
import { bool, list, message, optional, string, u32, u53, withDefault, type Infer } from "#codec";
import { name } from "./fields.ts";
import { JobInfo, RunInfo } from "./rows.ts";

/** Facts, runs or jobs of one page or request: pages are cut by their bytes long before. */
const MAX_FACT_ROWS = 100_000;
/** Of one fact as JSON: a hundred names of 1,024 bytes, and whatever else there is. */
export const MAX_FACT_BYTES = 256 * 1024;

/** What happens to single attempts and steps, and the passing of time: most of a log. */
const DETAILS: ReadonlySet<string> = new Set([
  "JobStarted", "JobSucceeded", "JobFailed", "JobLost", "JobStopped", "JobPaused", "WaitAsked",
  "OutputLost", "StepStarted", "StepDone", "StepFailed", "TimePassed",
]);

export function isDetail({ type }: { readonly type: string }): boolean {
  return DETAILS.has(type);
}

/**
 * `from`: the number of the first one that is wanted, 0 as 1. Absent: the next that happens.
 * `details` false: the texts of details may be left out.
 */
export const FactsAsked = message("FactsAsked", {
  from: [1, optional(u53())], details: [2, withDefault(bool(), true)],
});
export type FactsAsked = Infer<typeof FactsAsked>;

export const Fact = message("Fact", {
  type: [1, string(64)],
  run: [2, optional(name)],
  /** All of it, as JSON. Empty: left out. */
  text: [3, string(MAX_FACT_BYTES)],
  /** It stands for so many in a row, which without their texts are all the same. */
  times: [4, withDefault(u32(), 1)],
});
export type Fact = Infer<typeof Fact>;

/** Jobs of a run that are different now, by their positions; `all`: any of them may be. */
export const Touched = message("Touched", {
  run: [1, name],
  jobs: [2, list(u32(), MAX_FACT_ROWS)],
  all: [3, withDefault(bool(), false)],
});
export type Touched = Infer<typeof Touched>;

/** FACTS answers with pages, for ever. The first one comes at once, perhaps without a fact. */
export const FactsPage = message("FactsPage", {
  /** Facts before this page cannot be told any more: what is known may be out of date. */
  reset: [1, withDefault(bool(), false)],
  /** The number of the first fact of this page; if it has none, of the next one. */
  first: [2, u53()],
  facts: [3, list(Fact, MAX_FACT_ROWS)],
  touched: [4, list(Touched, MAX_FACT_ROWS)],
});
export type FactsPage = Infer<typeof FactsPage>;

/** The rows of these runs, and of these jobs of theirs. */
export const RowsAsked = message("RowsAsked", { runs: [1, list(Touched, MAX_FACT_ROWS)] });
/** ROWS answers with a stream of pages. */
export const RowsPage = message("RowsPage", {
  runs: [1, list(RunInfo, MAX_FACT_ROWS)],
  jobs: [2, list(message("RowOfJob", { run: [1, name], job: [2, JobInfo] }), MAX_FACT_ROWS)],
  /** Runs that are not known (any more). */
  gone: [3, list(name, MAX_FACT_ROWS)],
});
export type RowsPage = Infer<typeof RowsPage>;
