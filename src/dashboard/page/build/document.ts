/**
 * Lesson 19: a pipeline as the constructor sees it: the text, and the jobs that are in it.
 *
 * The text is the truth. The canvas is a view of it, read anew after every change: in a few
 * milliseconds, so nothing has to be kept in step. A text that cannot be read leaves the canvas as
 * it was, with the reason and the line.
 *
 * Invariant: reading changes nothing: a document that is only looked at keeps its text byte for
 * byte.
 * Test: test/19-dashboard.build.test.ts
 */
import {
  normalizeYaml, parseYaml, YamlError, type MappingNode, type SequenceNode, type Span,
  type YamlNode,
} from "#yaml";
import { EditError, type Editable } from "./edit.ts";
import { FIELDS, levelAt } from "./fields.ts";
import { Places } from "./slots.ts";
import { applySplices, type Splice } from "./splice.ts";

export type JobKind = "task" | "service" | "gate" | "call" | "agent";

export interface Job {
  /** What the canvas calls it: the id, made unique where two jobs have the same. */
  readonly key: string;
  readonly id: string | undefined;
  readonly index: number;
  readonly kind: JobKind;
  readonly node: YamlNode;
  readonly span: Span;
  /** Ids as they are written, known or not. */
  readonly parents: readonly string[];
}

/** Why a text cannot be shown as a canvas. */
export interface Refusal {
  readonly line: number;
  readonly column: number;
  readonly reason: string;
}

export interface Document extends Editable {
  readonly text: string;
  readonly root: MappingNode;
  readonly name: string;
  readonly jobs: readonly Job[];
  readonly byKey: ReadonlyMap<string, Job>;
}

/** A document, or the reason why the text is none. */
export function readDocument(text: string): Document | Refusal {
  let root: YamlNode;
  try {
    root = parseYaml(text, { spans: true });
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    return { line: error.line, column: error.column, reason: error.reason };
  }
  const places = new Places(normalizeYaml(text));
  const isEmpty = root.kind === "scalar" && root.text === "";
  if (root.kind !== "mapping" && !isEmpty) {
    const reason = "a pipeline must be a map with name and jobs";
    return { line: root.line, column: root.column, reason };
  }
  const map: MappingNode = root.kind === "mapping" ? root :
    { kind: "mapping", line: root.line, column: root.column, length: 1, entries: [] };
  const jobs = jobsIn(map);
  return {
    text, root: map, places, jobs, name: textAt(map, "name") ?? "",
    byKey: new Map(jobs.map((job) => [job.key, job])),
    order: (path) => FIELDS[levelAt(path) ?? "pipeline"].map(({ key }) => key),
  };
}

export function isDocument(read: Document | Refusal): read is Document {
  return "jobs" in read;
}

/** The document after these changes. Refused if its text can then not be read, which is our bug. */
export function edit(document: Document, splices: readonly Splice[]): Document {
  if (splices.length === 0) return document;
  const text = applySplices(document.text, splices);
  const after = readDocument(text);
  if (isDocument(after)) return after;
  const where = `line ${after.line} would be wrong: ${after.reason}`;
  throw new EditError(`This cannot be done in this text: ${where}. Edit the YAML instead.`);
}

export function jobsNode(root: MappingNode): SequenceNode | undefined {
  const node = valueOf(root, "jobs");
  return node?.kind === "sequence" ? node : undefined;
}

function jobsIn(root: MappingNode): Job[] {
  const list = jobsNode(root);
  if (list === undefined) return [];
  const seen = new Set<string>();
  return list.items.map((node, index) => {
    const id = textAt(node, "id");
    let key = id ?? `job ${index + 1}`;
    for (let copy = 2; seen.has(key); copy++) key = `${id ?? `job ${index + 1}`} (${copy})`;
    seen.add(key);
    const kind = kindOf(node, root);
    return { key, id, index, node, kind, span: list.spans![index]!, parents: parentsOf(node) };
  });
}

function kindOf(node: YamlNode, root: MappingNode): JobKind {
  if (textAt(node, "type") === "service") return "service";
  if (valueOf(node, "hitl_message") ?? valueOf(node, "hitl")) return "gate";
  if (valueOf(node, "call")) return "call";
  const words = [textAt(node, "run"), textAt(node, "file"), textAt(node, "id")].join(" ");
  const isAgentRun = valueOf(root, "agent") ?? valueOf(root, "agent_run_id");
  return isAgentRun && /\bagent/i.test(words) ? "agent" : "task";
}

/** The node of the ids of its parents, under either name. */
export function parentsNode(node: YamlNode): { key: string; value: YamlNode } | undefined {
  for (const key of ["depends_on", "needs"]) {
    const value = valueOf(node, key);
    if (value) return { key, value };
  }
  return undefined;
}

function parentsOf(node: YamlNode): string[] {
  const value = parentsNode(node)?.value;
  const items = value?.kind === "sequence" ? value.items : value ? [value] : [];
  const ids = items.flatMap((item) =>
    item.kind === "scalar" && item.text !== "" ? item.text : [],
  );
  return [...new Set(ids)];
}

export function valueOf(node: YamlNode, key: string): YamlNode | undefined {
  if (node.kind !== "mapping") return undefined;
  return node.entries.find((entry) => entry.key.text === key)?.value;
}

export function textAt(node: YamlNode, key: string): string | undefined {
  const value = valueOf(node, key);
  return value?.kind === "scalar" && value.text !== "" ? value.text : undefined;
}

export function jobOf({ byKey }: Document, key: string): Job {
  const job = byKey.get(key);
  if (job === undefined) throw new EditError(`There is no job ${key} any more.`);
  return job;
}
