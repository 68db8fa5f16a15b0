/**
 * Lesson 19: the parts of a job besides its output: what came out of it, what went in, and what is
 * known of it.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { badge } from "../parts/badge.ts";
import { empty } from "../parts/page.ts";
import { exact } from "../parts/time.ts";
import type { Job } from "../rows.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Selection } from "./selection.ts";

export interface PanelProps {
  readonly run: string;
  readonly job: Job;
  readonly parents: readonly Job[];
  readonly children: readonly Job[];
  readonly selection: Selection;
  readonly now: number;
  readonly artifacts: readonly Artifact[] | undefined;
  readonly buttons: Child;
  /** It is the job as it was. */
  readonly isPast: boolean;
  address(change: Partial<Selection>): string;
}

export interface Artifact {
  readonly name: string;
  readonly size: number;
  readonly from: { readonly job: string | null } | null;
}

/** A result of a megabyte is a file, and no text on a page. */
const MAX_RESULT_CHARS = 20_000;

export function resultTree({ run, job, artifacts = [] }: PanelProps): VNode {
  const own = artifacts.filter(({ from }) => from?.job === job.id);
  const files = h("ul", { class: "rows" }, own.map(({ name, size }) => h("li", { key: name },
    h("a", {
      href: `/api/v1/artifacts/${encodeURIComponent(name)}?run=${encodeURIComponent(run)}`,
      download: name,
    }, name), ` ${size.toLocaleString()} bytes`)));
  return h("div", { class: "panel-part" },
    job.result === null
      ? empty("It has no result.", "A job writes one to the file that ", h("code", null,
        "$TITAN_OUTPUT"), " names.")
      : valueTree(job.result),
    own.length === 0 ? null : h("h3", null, "Artifacts"), own.length === 0 ? null : files);
}

function valueTree(value: unknown): VNode {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const more = text.length - MAX_RESULT_CHARS;
  return h("pre", { class: "value", tabindex: 0 }, text.slice(0, MAX_RESULT_CHARS),
    more > 0 ? `\n… and ${more.toLocaleString()} characters more` : "");
}

export function inputsTree({ parents, children, address }: PanelProps): VNode {
  const link = (job: Job): Child => h("a", { href: address({ job: job.id }) }, job.id);
  const inputs = parents.map((job) => h("li", { key: job.id },
    badge(job.status), " ", link(job), job.result === null ? null : valueTree(job.result)));
  const readers = children.map((job) =>
    h("li", { key: job.id }, badge(job.status), " ", link(job)),
  );
  return h("div", { class: "panel-part" },
    h("h3", null, "It waits for, and may read the results of"),
    inputs.length === 0 ? h("p", null, "Nothing: it may start at once.")
      : h("ul", { class: "rows" }, inputs),
    h("h3", null, "Jobs that wait for it"),
    readers.length === 0 ? h("p", null, "None.") : h("ul", { class: "rows" }, readers));
}

export function aboutTree({ job }: PanelProps): VNode {
  const { attempt, worker, startedAt, endedAt, retryAt, reason, failure, decision, service } = job;
  const at = (time: number | null): Child => time === null ? null : exact(time);
  const facts: readonly (readonly [string, Child])[] = [
    ["Attempts", attempt], ["Worker", worker], ["Started", at(startedAt)], ["Ended", at(endedAt)],
    ["Next attempt", at(retryAt)], ["Why", reason],
    ["Failure", failure === null ? null : `${failure.kind}: ${failure.message}`],
    ["Exit code", failure?.exitCode ?? null], ["Signal", failure?.signal ?? null],
    ...pairsOf("Gate", decision), ...pairsOf("Service", service),
  ];
  return h("dl", { class: "job-facts" }, facts.map(([name, value]) => {
    if (value === null || value === "" || value === undefined) return null;
    return [h("dt", { key: `t ${name}` }, name), h("dd", { key: `d ${name}` }, value)];
  }));
}

/** "Gate, by": "ada" */
function pairsOf(
  title: string, value: Readonly<Record<string, unknown>> | null | undefined,
): (readonly [string, Child])[] {
  return Object.entries(value ?? {}).flatMap(([name, own]) => {
    if (own === null || own === "") return [];
    const isTime = name === "at" || name === "since";
    const text = isTime ? exact(own as number)
      : typeof own === "object" ? JSON.stringify(own) : String(own);
    return [[`${title}, ${name}`, text] as const];
  });
}
