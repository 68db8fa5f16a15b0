/**
 * Lesson 19: everything that the page knows, and the one function that changes it.
 *
 *     stream ──▶ snapshot, rows, fact ─┐
 *     requests ──▶ loaded, failed ─────┼──▶ reduce(state, action) ──▶ state ──▶ view ──▶ document
 *     keys, pointer ──▶ ui ────────────┘
 *
 * Pure: no document, no clock. The time comes as an action. Rows that have not changed stay the
 * same objects, so that others may compare by identity.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import type { Fact, Job, Run } from "./rows.ts";
import { addSample, isDue, sampleOf, type Sample, type Waited } from "./samples.ts";

/**
 * `connecting`: nothing came yet. `live`: the page is true. `lost`: it is out of date, and tries
 * again by itself.
 */
export type Connection = "connecting" | "live" | "lost";

/** The answer to a GET, or why there is none. The last answer stays while requests fail. */
export interface Loaded {
  readonly value?: unknown;
  readonly error?: Problem;
}

export interface Problem {
  /** Of HTTP; 0: no answer came. */
  readonly status: number;
  readonly message: string;
}

/** What a person is told about their own action. */
export interface Notice {
  readonly id: number;
  readonly kind: "done" | "problem";
  readonly text: string;
}

export interface State {
  readonly connection: Connection;
  /** Since when the page is out of date, by `now`. */
  readonly lostAt: number | undefined;
  /** The master's clock, as far as it is known: the browser's one may be an hour off. */
  readonly now: number;
  /** What has to be added to the browser's clock. */
  readonly clockOffset: number;
  /** The log number up to which the rows are true. */
  readonly seq: number;
  readonly version: string;
  /** When this master started. Another value: it was restarted. */
  readonly startedAt: number;
  /** Undefined until they have come once. */
  readonly runs: ReadonlyMap<string, Run> | undefined;
  /** By run, for runs that are followed; each in the order of its definition. */
  readonly jobs: ReadonlyMap<string, ReadonlyMap<string, Job>>;
  /** By run, for runs that are followed: what has happened since the page looked. */
  readonly facts: ReadonlyMap<string, readonly Fact[]>;
  /** By path. */
  readonly loaded: ReadonlyMap<string, Loaded>;
  /** What views remember besides the address: open dialogs, drafts. By a name of the view's. */
  readonly ui: Readonly<Record<string, unknown>>;
  readonly notices: readonly Notice[];
  /** How busy the cluster was, the latest last. */
  readonly samples: readonly Sample[];
}

export type Action =
  | { type: "hello"; seq: number; now: number; version: string; startedAt: number; wall: number }
  | { type: "connection"; connection: Connection }
  | { type: "tick"; wall: number }
  | { type: "snapshot"; seq: number; runs: readonly Run[] }
  /** `isGap`: it stands for facts that the page will never hear. */
  | { type: "run"; seq: number; run: Run; jobs: readonly Job[]; isGap?: boolean }
  | {
    type: "rows"; seq: number;
    runs?: readonly Run[] | undefined; gone?: readonly string[] | undefined;
    jobs?: readonly (Job & { readonly run: string })[] | undefined;
  }
  /** In the order of the log. */
  | { type: "facts"; facts: readonly Fact[] }
  | { type: "unfollow"; run: string }
  | { type: "loaded"; path: string; value: unknown }
  | { type: "failed"; path: string; error: Problem }
  | { type: "forget"; path: string }
  | { type: "ui"; key: string; value: unknown }
  | { type: "notice"; kind: Notice["kind"]; text: string }
  | { type: "dismiss"; id: number };

/** How long jobs have waited, as a view that shows it needs it. */
export const WAITS = "waits";
/** Of each followed run; older ones are in the log, which the page can ask. */
const MAX_FACTS = 5_000;
/** More do not fit on a screen, and the oldest is read by now. */
const MAX_NOTICES = 4;

export const EMPTY: State = {
  connection: "connecting", lostAt: undefined, now: 0, clockOffset: 0, seq: 0, version: "",
  startedAt: 0, runs: undefined, jobs: new Map(), facts: new Map(), loaded: new Map(), ui: {},
  notices: [], samples: [],
};

// #region reduce
export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "hello": {
      const { seq, now, version, startedAt, wall } = action;
      return { ...state, seq, now, version, startedAt, clockOffset: now - wall };
    }
    case "connection": return connected(state, action.connection);
    case "tick": return ticked(state, action.wall + state.clockOffset);
    case "snapshot":
      return { ...state, seq: action.seq, runs: new Map(action.runs.map((run) => [run.id, run])) };
    case "run": {
      const { run, seq, isGap = false } = action;
      const jobs = new Map(action.jobs.map((job) => [job.id, job]));
      return {
        ...(isGap ? withoutPast(state, run.id) : state), seq: Math.max(seq, state.seq),
        runs: new Map(state.runs).set(run.id, run), jobs: new Map(state.jobs).set(run.id, jobs),
      };
    }
    case "rows": return withRows(state, action);
    case "facts": return withFacts(state, action.facts);
    case "unfollow":
      return { ...withoutPast(state, action.run), jobs: without(state.jobs, action.run) };
    case "loaded": {
      const before = state.loaded.get(action.path);
      // An answer that has not changed is the object that came before.
      if (before?.value === action.value && before?.error === undefined) return state;
      const loaded = new Map(state.loaded).set(action.path, { value: action.value });
      return { ...state, loaded };
    }
    case "failed": {
      const before = state.loaded.get(action.path);
      const loaded = new Map(state.loaded).set(action.path, { ...before, error: action.error });
      return { ...state, loaded };
    }
    case "forget": return { ...state, loaded: without(state.loaded, action.path) };
    case "ui": return { ...state, ui: changed(state.ui, action.key, action.value) };
    case "notice": {
      const id = (state.notices.at(-1)?.id ?? 0) + 1;
      const notice: Notice = { id, kind: action.kind, text: action.text };
      return { ...state, notices: [...state.notices, notice].slice(-MAX_NOTICES) };
    }
    case "dismiss":
      return { ...state, notices: state.notices.filter(({ id }) => id !== action.id) };
  }
}
// #endregion

function ticked(state: State, now: number): State {
  const { runs, samples, connection } = state;
  if (runs === undefined || connection !== "live" || !isDue(samples, now)) return { ...state, now };
  const waited = answerOf<Waited>(state, WAITS);
  return { ...state, now, samples: addSample(samples, sampleOf(runs.values(), now, waited)) };
}

function connected(state: State, connection: Connection): State {
  if (connection === state.connection) return state;
  const lostAt = connection === "lost" ? state.now : undefined;
  return { ...state, connection, lostAt };
}

// #region rows
function withRows(state: State, { seq, runs, jobs, gone }: Action & { type: "rows" }): State {
  let next: State = { ...state, seq };
  if (runs !== undefined || gone !== undefined) {
    const all = new Map(state.runs);
    for (const run of runs ?? []) all.set(run.id, run);
    for (const id of gone ?? []) all.delete(id);
    next = { ...next, runs: all };
  }
  if (jobs === undefined) return next;
  const followed = new Map(state.jobs);
  const touched = new Set<string>();
  for (const { run, ...job } of jobs) {
    const known = followed.get(run);
    // Rows of a run that is no longer looked at: they were on their way.
    if (known === undefined) continue;
    if (!touched.has(run)) followed.set(run, new Map(known));
    touched.add(run);
    (followed.get(run) as Map<string, Job>).set(job.id, job);
  }
  return { ...next, jobs: followed };
}
// #endregion

function withFacts(state: State, facts: readonly Fact[]): State {
  const all = new Map(state.facts);
  for (const run of new Set(facts.map((fact) => fact.run))) {
    if (run === undefined || !state.jobs.has(run)) continue;
    const own = facts.filter((fact) => fact.run === run);
    all.set(run, [...(all.get(run) ?? []), ...own].slice(-MAX_FACTS));
  }
  return { ...state, seq: facts.at(-1)?.seq ?? state.seq, facts: all };
}

/** Without what is known of a run's past, in the state and in what views remember of the run. */
function withoutPast(state: State, run: string): State {
  const ui = Object.entries(state.ui).filter(([key]) => !key.endsWith(` ${run}`));
  return { ...state, facts: without(state.facts, run), ui: Object.fromEntries(ui) };
}

function changed(ui: State["ui"], key: string, value: unknown): State["ui"] {
  const { [key]: _, ...rest } = ui;
  return value === undefined ? rest : { ...rest, [key]: value };
}

function without<T>(map: ReadonlyMap<string, T>, key: string): ReadonlyMap<string, T> {
  if (!map.has(key)) return map;
  const rest = new Map(map);
  rest.delete(key);
  return rest;
}

/** The latest answer to a path that a view needs. */
export function answerOf<T>({ loaded }: State, path: string): T | undefined {
  return loaded.get(path)?.value as T | undefined;
}
