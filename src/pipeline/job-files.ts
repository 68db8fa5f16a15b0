/**
 * Lesson 17: files that a job hands on, and files that it is given (lesson 11 moves them).
 *
 *     outputs: [model.bin, logs/train.txt]         collected after a success
 *     inputs:
 *       - {job: train, path: model.bin}            laid out before the start, at the same path…
 *       - {job: prepare, path: a.csv, as: data/a.csv}   …or at another one
 *
 * Invariant: what is returned has passed the checks that the master makes, but for those that look
 * at other jobs (graph.ts).
 * Test: test/17-pipelines.files.test.ts
 */
import type { MappingNode, ScalarNode } from "#yaml";
import { Fields, type Text } from "./fields.ts";
import { MAX_FILE_PATH_BYTES, MAX_FILES } from "./limits.ts";
import type { ActionDefinition, FilesDefinition, InputDefinition } from "./types.ts";

const INPUT_KEYS = ["job", "path", "as"] as const;

/** The names in an input, with their places in the text: for those who know the other jobs. */
export interface NamedInput {
  readonly job: Text;
  readonly path: Text;
}

export interface ReadFiles {
  readonly files: FilesDefinition | undefined;
  readonly inputs: readonly NamedInput[];
}

export function readFiles(
  fields: Fields, job: { isService: boolean; action: ActionDefinition | undefined },
): ReadFiles {
  const outputs = readOutputs(fields);
  const { inputs, named } = readInputs(fields);
  for (const key of ["outputs", "inputs"] as const) {
    if (!fields.has(key)) continue;
    if (job.action?.type === "call") {
      fields.refuse("CONFLICT", key, "is for programs: a call has no folder of its own");
    }
  }
  if (job.isService && fields.has("outputs")) {
    fields.refuse("CONFLICT", "outputs", "is for jobs that end, and this is a service");
  }
  const isNothing = outputs.length + inputs.length === 0;
  return { files: isNothing ? undefined : { outputs, inputs }, inputs: named };
}

function readOutputs(fields: Fields): string[] {
  const texts = fields.texts("outputs", {
    max: MAX_FILES, single: true, maxBytes: MAX_FILE_PATH_BYTES,
  }) ?? [];
  const seen = new Set<string>();
  return texts.map(({ text, node }) => placeOf(fields, { key: "outputs", text, node, seen }));
}

function readInputs(fields: Fields): { inputs: InputDefinition[]; named: NamedInput[] } {
  const node = fields.value("inputs");
  const read: { inputs: InputDefinition[]; named: NamedInput[] } = { inputs: [], named: [] };
  if (node === undefined) return read;
  const example = ": write [{job: …, path: …}]";
  if (node.kind !== "sequence") {
    fields.wrong("inputs", node, "a list of maps with job and path", example);
    return read;
  }
  if (node.items.length > MAX_FILES) {
    fields.refuse("TOO_LARGE", "inputs", `has more than ${MAX_FILES} entries`, node);
    return read;
  }
  const seen = new Set<string>();
  for (const item of node.items) {
    if (item.kind !== "mapping") {
      fields.wrong("inputs", item, "a list of maps with job and path", example);
      continue;
    }
    const input = readInput(fields, item, seen);
    if (input === undefined) continue;
    read.inputs.push(input.definition);
    read.named.push(input.named);
  }
  return read;
}

function readInput(
  outer: Fields, node: MappingNode, seen: Set<string>,
): { definition: InputDefinition; named: NamedInput } | undefined {
  const scope = ` in "inputs"${outer.scope}`;
  const before = outer.report.count;
  const fields = new Fields(outer.report, node, { known: INPUT_KEYS, scope });
  const [job, path] = (["job", "path"] as const).map((key) => {
    const value = fields.value(key);
    if (value === undefined) return fields.refuse("MISSING_KEY", key, "is missing");
    return fields.textOf(key, value, { maxBytes: MAX_FILE_PATH_BYTES });
  });
  const as = fields.value("as");
  const other = as && fields.textOf("as", as, { maxBytes: MAX_FILE_PATH_BYTES });
  const isWhole = outer.report.count === before && job !== undefined && path !== undefined;
  if (!isWhole) return undefined; // it has been reported, and is not looked for
  const from = path.text.replace(/^(?:\.\/)+/, "");
  const place = other ?? path;
  const to = placeOf(fields, { key: other ? "as" : "path", ...place, seen });
  const definition = { job: job.text, path: from, ...(to !== from && { as: to }) };
  return { definition, named: { job, path: { ...path, text: from } } };
}

interface Named {
  readonly key: string;
  readonly text: string;
  readonly node: ScalarNode;
  /** The places of the others of this job. */
  readonly seen: Set<string>;
}

/** A path in the folder of the job. `./a` is `a`. */
function placeOf(fields: Fields, { key, text, node, seen }: Named): string {
  const path = text.replace(/^(?:\.\/)+/, "");
  const found = JSON.stringify(text);
  const problem = pathProblem(path);
  if (problem !== undefined) fields.refuse("BAD_VALUE", key, `${problem}, found ${found}`, node);
  else if (seen.has(path)) fields.refuse("BAD_VALUE", key, `names ${found} twice`, node);
  seen.add(path);
  return path;
}

function pathProblem(path: string): string | undefined {
  if (path.startsWith("/")) return "must be a path in the folder of the job";
  if (/[*?[\]]/.test(path)) return "must name a file: there are no patterns";
  if (path.endsWith("/")) return "must name a file: put a folder into one with tar";
  if (/\p{Cc}/u.test(path)) return "must not contain control characters";
  const parts = path.split("/");
  const isPlain = parts.every((part) => part !== "" && part !== "." && part !== "..");
  return isPlain ? undefined : 'must be a plain path, without "..", "." or "//"';
}
