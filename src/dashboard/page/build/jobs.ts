/**
 * Lesson 19: what a person does to jobs on the canvas, as edits of the text.
 *
 *     addJobs · removeJobs · renameJob        (edges.ts: connect · disconnect)
 *
 * Invariant: a job that names another one follows it when it is renamed, and stops naming it when
 * it is removed.
 * Test: test/19-dashboard.build.test.ts
 */
import type { ScalarNode, YamlNode } from "#yaml";
import {
  edit, jobOf, jobsNode, parentsNode, valueOf, type Document, type Job, type JobKind,
} from "./document.ts";
import { forget } from "./edges.ts";
import { appendItem, EditError, removePart, replaceValue, setAt } from "./edit.ts";
import type { Splice } from "./splice.ts";
import { flow } from "./write.ts";

/** The rule for ids of #pipeline, in its words. */
const ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
const MAX_ID_CHARS = 128;

// ── ids ──────────────────────────────────────────────────────────────────────────────────────────

export function idsOf({ jobs }: Document): Set<string> {
  return new Set(jobs.flatMap(({ id }) => id ?? []));
}

/** `id`, or the first of `id-2`, `id-3`… that nobody has. */
export function freshId(id: string, taken: ReadonlySet<string>): string {
  for (let copy = 1; ; copy++) {
    const end = copy === 1 ? "" : `-${copy}`;
    const name = id.slice(0, MAX_ID_CHARS - end.length) + end;
    if (!taken.has(name)) return name;
  }
}

/** Why this cannot be the id of this job; undefined for a good one. */
export function idProblem(document: Document, id: string, own?: Job): string | undefined {
  if (!ID.test(id)) {
    return "An id begins with a letter or digit and goes on with letters, digits, “_”, “.” or “-”.";
  }
  const other = document.jobs.find((job) => job.id === id && job !== own);
  return other === undefined ? undefined : `Another job is called ${id}.`;
}

// ── adding ───────────────────────────────────────────────────────────────────────────────────────

const AGENT_SCRIPT = `import { job } from ${JSON.stringify("titan-orchestrator/job")};
const plan = await job.step("plan", {}, () => ["one", "two"]);
await job.output({ plan });
`;

/** What a new node of this kind begins with: enough to run as it is. */
export function template(
  kind: JobKind,
  document: Document,
): { id: string; [key: string]: unknown } {
  const taken = idsOf(document);
  let number = 1;
  while (taken.has(`${kind}-${number}`)) number++;
  const id = `${kind}-${number}`;
  if (kind === "service") {
    return { id, type: "service", run: "exec python3 -m http.server -b 127.0.0.1 $TITAN_PORT" };
  }
  if (kind === "gate") return { id, call: "titan:noop", hitl_message: "Go on?" };
  if (kind === "call") return { id, call: "titan:echo", input: { hello: "world" } };
  if (kind === "agent") return { id, shell: "node", run: AGENT_SCRIPT };
  return { id, run: `echo ${id} is done` };
}

/** Adds a job of this kind at the end. The first agent brings a budget with it. */
export function addJob(
  document: Document, kind: JobKind, job = template(kind, document),
): { document: Document; key: string } {
  let after = document;
  if (kind === "agent" && !valueOf(document.root, "agent") &&
    !valueOf(document.root, "agent_run_id")) {
    after = edit(document, setAt(document, ["agent"], { budget: { jobs: 20, steps: 200 } }));
  }
  return { document: addJobs(after, [job]), key: job.id };
}

/** Adds jobs behind the others, as values. */
export function addJobs(document: Document, jobs: readonly object[]): Document {
  const { places, root } = document;
  if (root.entries.length === 0) return addJobs(started(document), jobs);
  const list = jobsNode(root);
  const slot = places.find(root, ["jobs"]);
  if (list === undefined || slot === undefined || list.items.length === 0) {
    return edit(document, setAt(document, ["jobs"], jobs));
  }
  const own = { ...slot, node: list };
  const gap = isSpaced(document) ? "\n" : "";
  return edit(document, jobs.flatMap((job) =>
    appendItem(places, own, job).map((each) => ({ ...each, text: gap + each.text }))));
}

/** A text without a pipeline, which may have comments, gets one. */
function started(document: Document): Document {
  const end = document.places.text.length;
  const gap = end === 0 || document.places.text.endsWith("\n") ? "" : "\n";
  return edit(document, [{ from: end, to: end, text: `${gap}name: untitled\njobs: []\n` }]);
}

/** Does an empty line stand between the last two jobs? Then new ones get one, too. */
export function isSpaced({ places, jobs, root }: Document): boolean {
  const list = jobsNode(root);
  if (jobs.length < 2 || list === undefined || places.hasBrackets(list)) return false;
  const [before, last] = [jobs.at(-2)!, jobs.at(-1)!];
  return /\n[ \t]*\n/.test(places.text.slice(before.span.end - 1, last.span.start));
}

// ── removing, renaming ───────────────────────────────────────────────────────────────────────────

export function removeJobs(document: Document, keys: readonly string[]): Document {
  const gone = keys.map((key) => jobOf(document, key));
  const ids = new Set(gone.flatMap(({ id }) => id ?? []));
  const staying = document.jobs.filter((job) => !gone.includes(job));
  // A second job of the same id stays, and so do the edges to it.
  for (const { id } of staying) if (id !== undefined) ids.delete(id);
  const after = forget(document, ids, staying);
  return withoutItems(after, gone.map(({ index }) => index));
}

function withoutItems(document: Document, indexes: readonly number[]): Document {
  const { places, root } = document;
  const list = jobsNode(root);
  const slot = places.find(root, ["jobs"]);
  if (list === undefined || slot === undefined) return document;
  if (indexes.length === list.items.length) return edit(document, replaceValue(places, slot, []));
  if (places.hasBrackets(list)) {
    return [...indexes].sort((a, b) => b - a).reduce((at, index) => {
      const own = jobsNode(at.root)!;
      return edit(at, [removePart(at.places, own, own.spans![index]!)]);
    }, document);
  }
  let done = 0;
  return edit(document, [...indexes].sort((a, b) => a - b).map((index) => {
    const cut = removePart(places, list, places.itemSlot(list, index)!.span);
    const from = aboveComments(document, cut.from, list.column - 1);
    // The empty lines before it go, too, unless they are part of the text above.
    const before = places.itemSlot(list, index - 1)?.span.end;
    const above = before === undefined ? from : places.lineEnd(before) + 1;
    const isGap = above < from && places.text.slice(above, from).trim() === "";
    // The last job of a text without a last line end takes the one before it, if that is there yet.
    const start = Math.max(isGap ? above : from, done);
    done = cut.to;
    return { ...cut, from: start };
  }));
}

/** A comment right above a job, in its column, is about the job, and goes with it. */
function aboveComments({ places }: Document, from: number, column: number): number {
  let start = from;
  while (start > 0) {
    const before = places.lineStart(start - 1);
    const line = places.text.slice(before, start - 1);
    if (before >= start || !line.startsWith(`${" ".repeat(column)}#`)) return start;
    start = before;
  }
  return start;
}

export function renameJob(document: Document, key: string, id: string): Document {
  const job = jobOf(document, key);
  const problem = idProblem(document, id, job);
  if (problem !== undefined) throw new EditError(problem);
  const splices = job.id === undefined || valueOf(job.node, "id") === undefined
    ? setAt(document, ["jobs", job.index, "id"], id)
    : renames(document, new Map([[job.id, id]]), [job]);
  return edit(document, splices);
}

/** New names for these jobs, and for them wherever a job names another. */
export function renames(
  document: Document, names: ReadonlyMap<string, string>, jobs: readonly Job[],
): Splice[] {
  const found = new Map<number, Splice>();
  const rename = (node: YamlNode | undefined): void => {
    if (node?.kind === "sequence") return node.items.forEach(rename);
    const to = node?.kind === "scalar" ? names.get(node.text) : undefined;
    if (to === undefined) return;
    const { style, length } = node as ScalarNode;
    const from = document.places.offset(node!);
    found.set(from, { from, to: from + length, text: flow(to, style === "double") });
  };
  for (const job of jobs) rename(valueOf(job.node, "id"));
  for (const { node } of document.jobs) {
    rename(parentsNode(node)?.value);
    rename(valueOf(node, "affinity"));
    const inputs = valueOf(node, "inputs");
    if (inputs?.kind === "sequence") for (const item of inputs.items) rename(valueOf(item, "job"));
  }
  return [...found.values()];
}
