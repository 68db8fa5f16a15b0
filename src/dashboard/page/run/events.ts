/**
 * Lesson 19: what has happened to a run, fact by fact, as the event log has it.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { listTree } from "../lists/list.ts";
import { exact, timeOfDay } from "../parts/time.ts";
import { empty } from "../parts/page.ts";
import type { Fact } from "../rows.ts";
import { h, type VNode } from "../vdom.ts";

/** Pixels; style/run.css has the same. */
const EVENT_ROW = 32;
/** Told by columns of their own; a fact that was read from the log has all of it as a text, too. */
const COLUMNS: ReadonlySet<string> = new Set(["type", "at", "run", "job", "seq", "text"]);

export interface EventsProps {
  readonly run: string;
  readonly facts: readonly Fact[];
  readonly isLoaded: boolean;
  /** Why these are not all; empty: they are. */
  readonly note: string;
  /** The facts of this job alone. */
  readonly job: string | undefined;
}

export function eventsTree({ run, facts, isLoaded, note, job }: EventsProps): VNode {
  const shown = job === undefined ? facts : facts.filter((fact) => isAbout(fact, job));
  if (shown.length === 0) {
    return h("div", null, isLoaded ? empty("The log has no event of this.", note)
      : h("p", { class: "loading" }, "Reading the log…"));
  }
  return h("div", { class: "event-part" },
    note === "" ? null : h("p", { class: "note" }, note),
    listTree({
      key: "events", class: "events", role: "table", label: `events of ${job ?? run}`,
      rows: shown.length, rowHeight: EVENT_ROW, chosen: undefined,
      head: h("div", { class: "event-row event-head", role: "row" },
        ["Number", "When", "What", "Job", "More"].map((head) =>
          h("span", { key: head, role: "columnheader" }, head))),
      // The latest first: that is what a person asks for.
      row: (at) => eventRow(shown[shown.length - 1 - at]!),
    }));
}

function isAbout({ job, jobs }: Fact, wanted: string): boolean {
  return job === wanted || (Array.isArray(jobs) && jobs.includes(wanted));
}

export function eventRow(fact: Fact): VNode {
  const { seq, at, type, job = "" } = fact;
  const when = at === undefined ? "" : timeOfDay(at);
  const cells = [String(seq), when, type, job, restOf(fact)];
  return h("div", { key: seq, class: "event-row", role: "row" },
    cells.map((text, column) => h("span", {
      key: column, role: "cell", title: column === 1 && at !== undefined ? exact(at) : text,
    }, text)));
}

/** "attempt 2, worker w1, failure exit 3". */
function restOf(fact: Fact): string {
  return Object.entries(fact).flatMap(([name, value]) => {
    if (COLUMNS.has(name) || value === null || value === "" || value === false) return [];
    const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    if (value === true) return [words];
    const isTime = name.endsWith("At") && typeof value === "number";
    return [`${words} ${isTime ? timeOfDay(value) : wordsOf(value)}`];
  }).join(", ");
}

/** A failure is what it says. */
function wordsOf(value: unknown): string {
  if (typeof value !== "object") return String(value);
  const { message } = value as { message?: unknown };
  return typeof message === "string" ? message : JSON.stringify(value);
}
