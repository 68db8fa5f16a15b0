/**
 * Lesson 19: what a person looks at, as the address has it. Graph, timeline, table and log share
 * it, and a link to it shows the same to somebody else.
 *
 *     /runs/nightly-7k2m?view=timeline&job=train&tab=log&attempt=2&line=120
 *
 * Test: test/19-dashboard.run.view.test.ts
 */
import { withQuery } from "../router.ts";

export const RUN_VIEWS = ["graph", "timeline", "table", "log", "definition", "events"] as const;
export type RunView = (typeof RUN_VIEWS)[number];

export const JOB_TABS = ["log", "result", "inputs", "about"] as const;
export type JobTab = (typeof JOB_TABS)[number];

export interface Selection {
  readonly view: RunView;
  readonly job: string | undefined;
  readonly tab: JobTab;
  /** Undefined: the latest. */
  readonly attempt: number | undefined;
  /** Of the log, from 0. The address counts from 1, as people do. */
  readonly line: number | undefined;
}

export function selectionOf({ searchParams: query }: URL): Selection {
  const number = (name: string): number | undefined => {
    const text = query.get(name) ?? "";
    return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined;
  };
  const line = number("line");
  return {
    view: RUN_VIEWS.find((view) => view === query.get("view")) ?? "graph",
    job: query.get("job") ?? undefined,
    tab: JOB_TABS.find((tab) => tab === query.get("tab")) ?? "log",
    attempt: number("attempt"),
    line: line === undefined ? undefined : line - 1,
  };
}

/** The address of another selection. Another job begins with its latest attempt. */
export function addressOf(url: URL, change: Partial<Selection>): string {
  const isOther = "job" in change && change.job !== selectionOf(url).job;
  const next = { ...selectionOf(url), ...(isOther && { attempt: undefined, line: undefined }),
    ...change };
  return withQuery(url, {
    view: next.view === "graph" ? undefined : next.view,
    job: next.job, tab: next.tab === "log" ? undefined : next.tab,
    attempt: next.attempt?.toString(),
    line: next.line === undefined ? undefined : String(next.line + 1),
  });
}
