/**
 * Lesson 19: what is wrong with a pipeline, beside the node and the field that it is about.
 *
 * The master checks the text, as it does before a run; here its lines become jobs and fields. A
 * job that no worker could run is found by comparing tags: the master would wait for such a worker.
 *
 * Test: test/19-dashboard.build.board.test.ts
 */
import type { Document, Job } from "./document.ts";

/** What stands for a value that is not shown. */
const HIDDEN = "…";

export interface Finding {
  readonly kind: "error" | "warning";
  readonly message: string;
  readonly line: number | undefined;
  /** The key of a job, if it is about one. */
  readonly job: string | undefined;
  /** The field of that job, or of the pipeline. */
  readonly field: string | undefined;
}

/** The answer of `POST /api/v1/validate`. */
export interface Verdict {
  readonly valid: boolean;
  readonly warnings?: readonly string[];
  readonly problems?: readonly { message: string; line?: number; column?: number }[];
}

export function findingsOf(document: Document, verdict: Verdict): Finding[] {
  const errors = (verdict.problems ?? []).map(({ message, line, column }) =>
    ({ kind: "error" as const, message, ...placeAt(document, line, column) }));
  const warnings = (verdict.warnings ?? []).map((warning) => {
    const [, line, column, text] = /^[^:]*:(\d+):(\d+): ([\s\S]*)$/.exec(warning) ?? [];
    const place = placeAt(document, line ? Number(line) : undefined, Number(column));
    return { kind: "warning" as const, message: text ?? warning, ...place };
  });
  const all = [...errors, ...warnings];
  // Nobody has made a mistake yet: the empty canvas says how to begin.
  return document.jobs.length > 0 ? all : all.filter(({ field }) => field !== "jobs");
}

function placeAt(
  { places, jobs, root }: Document, line: number | undefined, column = 1,
): Pick<Finding, "line" | "job" | "field"> {
  if (line === undefined) return { line, job: undefined, field: undefined };
  const offset = places.offset({ line, column });
  const job = jobs.find(({ span }) => offset >= span.start && offset < span.end);
  const node = job?.node ?? root;
  const entries = node.kind === "mapping" ? node.entries : [];
  const entry = entries.findLast(({ span }) => span!.start <= offset && offset <= span!.end);
  return { line, job: job?.key, field: entry?.key.text };
}

export interface Crew {
  readonly workers: readonly { tags: readonly string[]; name: string }[];
  readonly pools: readonly { tags: readonly string[]; name: string }[];
}

/** Jobs for which there is no worker, and no pool that could start one. */
export function unschedulable({ jobs, places }: Document, { workers, pools }: Crew): Finding[] {
  const offers = [...workers, ...pools].map(({ tags }) => new Set(["GENERAL", ...tags]));
  return jobs.flatMap((job): Finding[] => {
    const wanted = requirementOf(job);
    const isFit = offers.some((tags) => wanted.every((tag) => tags.has(tag)));
    if (isFit || (wanted.length === 0 && offers.length === 0)) return [];
    const missing = wanted.filter((tag) => !offers.some((tags) => tags.has(tag)));
    const why = missing.length > 0 ? missing.join(" and ") : `all of ${wanted.join(", ")}`;
    const what = `${job.id ?? job.key} can never be scheduled: no worker has ${why}`;
    return [{
      kind: "warning", message: what, line: places.lineOf(job.span.start), job: job.key,
      field: "requirement",
    }];
  });
}

/** The master shows no value of a variable: a pipeline of a past run has `…` in its place. */
export function hiddenValues({ jobs, places }: Document): Finding[] {
  return jobs.flatMap(({ key, node, span }): Finding[] => {
    const env = node.kind === "mapping" &&
      node.entries.find((entry) => entry.key.text === "env")?.value;
    const names = !env || env.kind !== "mapping" ? [] : env.entries.flatMap((entry) =>
      (entry.value.kind === "scalar" && entry.value.text === HIDDEN ? entry.key.text : []));
    if (names.length === 0) return [];
    const message = `the value of ${names.join(", ")} is hidden: write it again before it runs`;
    const line = places.lineOf(span.start);
    return [{ kind: "warning", message, line, job: key, field: "env" }];
  });
}

export function requirementOf({ node }: Job): string[] {
  if (node.kind !== "mapping") return [];
  const value = node.entries.find(({ key }) => key.text === "requirement")?.value;
  const items = value?.kind === "sequence" ? value.items : value ? [value] : [];
  return items.flatMap((item) =>
    item.kind === "scalar" && item.text !== "" && item.text !== "GENERAL" ? item.text : []);
}
