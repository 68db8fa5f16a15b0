/**
 * Lesson 19: messages of an event stream, as text.
 *
 *     id: 4711
 *     event: rows
 *     data: {"seq":4711,"runs":[…]}
 *
 * A browser remembers the last id, and sends it when it comes again. So a message has one only if
 * its reader then has everything up to it.
 *
 * Test: test/http.events.test.ts
 */
import { isDetail } from "#wire";

/** What a reader wants beside the rows of runs and the facts that all are told. */
export interface Interest {
  /** Details of all runs. */
  readonly all: boolean;
  /** The rows of these runs' jobs… */
  readonly runs: readonly string[];
  /** …and, unless it is false, their details. */
  readonly details?: boolean;
}

/**
 * A fact as it came, with its number. Those in a row that are the same without their texts are one
 * object, with the number of the first.
 */
export interface SeenFact {
  readonly seq: number;
  readonly type: string;
  readonly run: string | undefined;
  /** JSON. Empty: it was left out. */
  readonly text: string;
}

/** Rows as JSON, each made once for all readers. */
export interface SeenRows {
  /** By their ids. */
  readonly runs: ReadonlyMap<string, string>;
  /** By the ids of their runs. */
  readonly jobs: ReadonlyMap<string, readonly string[]>;
  readonly gone: readonly string[];
}

export const NO_ROWS: SeenRows = { runs: new Map(), jobs: new Map(), gone: [] };

/** What there is to tell up to number `end`. */
export interface News {
  readonly facts: readonly SeenFact[];
  readonly rows: SeenRows;
  readonly end: number;
}

/** JSON has no line breaks of its own, so that a message is one line of data. */
export function message(event: string, data: string, id?: number): string {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`;
}

export function isWanted({ all, runs, details }: Interest, fact: SeenFact): boolean {
  if (all || !isDetail(fact)) return true;
  return details !== false && fact.run !== undefined && runs.includes(fact.run);
}

export function wantsDetails({ all, runs, details }: Interest): boolean {
  return all || (details !== false && runs.length > 0);
}

/** One that the reader wants came without its text: nobody had asked for such when it happened. */
export function lacksText(interest: Interest, facts: readonly SeenFact[]): boolean {
  return facts.some((fact) => fact.text === "" && isWanted(interest, fact));
}

// #region news
/**
 * Rows first, then facts, of which the last has the number `end` or a lower one. A reader that is
 * cut off between the two comes again with the number before the first fact.
 */
export function news(interest: Interest, { facts, rows, end }: News): string {
  // #exercise news
  const wanted = facts.filter((fact) => isWanted(interest, fact));
  const told = rowsText(interest, rows, (wanted[0]?.seq ?? end + 1) - 1);
  return told + wanted.map(({ seq, text }) => message("fact", text, seq)).join("");
  // #end-exercise
}
// #endregion

function rowsText({ runs: followed }: Interest, rows: SeenRows, seq: number): string {
  const jobs = followed.flatMap((run) => rows.jobs.get(run) ?? []);
  if (rows.runs.size + jobs.length + rows.gone.length === 0) return "";
  const parts = [`"seq":${seq}`];
  if (rows.runs.size > 0) parts.push(`"runs":[${[...rows.runs.values()].join(",")}]`);
  if (jobs.length > 0) parts.push(`"jobs":[${jobs.join(",")}]`);
  if (rows.gone.length > 0) parts.push(`"gone":${JSON.stringify(rows.gone)}`);
  return message("rows", `{${parts.join(",")}}`, seq);
}
