/**
 * Lesson 19: the search box of a run: a few letters, the jobs that are meant, and a jump to one.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { findJobs } from "../graph/find.ts";
import { badge } from "../parts/badge.ts";
import { icon } from "../parts/icon.ts";
import { h, type VNode } from "../vdom.ts";
import { jobName, type RunJobs } from "./jobs.ts";

export interface FindProps {
  readonly jobs: RunJobs;
  readonly text: string;
  /** The row of the results that Enter takes. */
  readonly at: number;
  type(text: string): void;
  move(at: number): void;
  choose(job: number): void;
}

export function findTree(props: FindProps): VNode {
  const { jobs, text, at } = props;
  const found = foundIn(jobs, text);
  const isOpen = text.trim() !== "";
  return h("div", { class: "find" },
    h("label", { class: "find-field" }, icon("search"), h("input", {
      type: "search", class: "find-input", value: text, placeholder: "Find a job",
      autocomplete: "off", spellcheck: "false",
      role: "combobox", "aria-label": "Find a job", "aria-expanded": isOpen,
      "aria-controls": "found", "aria-autocomplete": "list",
      "aria-activedescendant": isOpen ? `found-${at}` : undefined,
      onkeydown: (event: KeyboardEvent) => findKey(event, props),
      oninput: ({ target }: Event) => props.type((target as HTMLInputElement).value),
    })),
    h("div", {
      id: "found", class: "found", role: "listbox", "aria-label": "Jobs", hidden: !isOpen,
    },
      found.map((job, row) => foundTree(job, { isTaken: row === at, row }, props)),
      isOpen && found.length === 0
        ? h("p", { class: "found-none" }, "No job has this in its id.") : null));
}

function foundTree(
  job: number, { isTaken, row }: { isTaken: boolean; row: number }, props: FindProps,
): VNode {
  const { id, status } = props.jobs.rows[job]!;
  return h("div", {
    key: job, id: `found-${row}`, role: "option", class: "found-row", "aria-selected": isTaken,
    "aria-label": jobName(props.jobs.rows[job]!), onclick: () => take(job, props),
  }, badge(status), h("span", { class: "found-id" }, id));
}

function take(job: number, { type, choose }: FindProps): void {
  type("");
  choose(job);
}

function foundIn({ rows }: RunJobs, text: string): number[] {
  return findJobs(rows.map(({ id }) => id), text);
}

function findKey(event: KeyboardEvent, props: FindProps): void {
  const { jobs, at, type, move } = props;
  // A person may type faster than pictures are drawn: the field has what was typed.
  const text = (event.target as HTMLInputElement).value;
  const found = foundIn(jobs, text);
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (step !== 0 && found.length > 0) move((at + step + found.length) % found.length);
  else if (event.key === "Enter" && found[at] !== undefined) take(found[at], props);
  else if (event.key === "Escape" && text !== "") type("");
  else return;
  event.preventDefault();
  event.stopPropagation();
}
