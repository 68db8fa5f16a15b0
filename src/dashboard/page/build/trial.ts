/**
 * Lesson 19: one job, tested alone with inputs that a person has written, or that a past run had.
 *
 *     extract ──▶ train ──▶ …       a test of train:      extract ──▶ train
 *                                                         a stand-in: hands on what was written
 *
 * A stand-in has the id of the parent, so the job finds its inputs where it always does. Services
 * before it are themselves: nothing can stand in for a port.
 *
 * Left out: the gate of the job, its delay, and where it wants to run beside whom: they are about
 * the whole pipeline.
 * Test: test/19-dashboard.build.files.test.ts
 */
import { emitYaml } from "#yaml";
import { jobOf, textAt, valueOf, type Document, type Job } from "./document.ts";
import { EditError } from "./edit.ts";
import { plainValue } from "./slots.ts";
import { jobMaps } from "./typescript.ts";
import { pipelineValue } from "./values.ts";

export interface Given {
  /** JSON: what jobs before it hand on, by their ids. "" for nothing. */
  readonly outputs: Readonly<Record<string, string>>;
  /** Texts of files, by their names: `job/path`. */
  readonly files: Readonly<Record<string, string>>;
  /** JSON: the argument of a call. */
  readonly input: string;
}

export interface Wanted {
  /** Jobs that are stood in for. */
  readonly parents: readonly string[];
  readonly files: readonly { readonly job: string; readonly path: string }[];
  readonly isCall: boolean;
}

type Value = Record<string, unknown>;

/** What a test of this job has to be given. */
export function wantedOf(document: Document, key: string): Wanted {
  const job = jobOf(document, key);
  const inputs = valueOf(job.node, "inputs");
  const files = (inputs?.kind === "sequence" ? inputs.items : []).flatMap((item) => {
    const [from, path] = [textAt(item, "job"), textAt(item, "path")];
    return from === undefined || path === undefined ? [] : [{ job: from, path }];
  });
  const services = new Set(document.jobs.filter(isService).map(({ id }) => id));
  const before = new Set([...job.parents, ...files.map((each) => each.job)]);
  return {
    parents: [...before].filter((id) => !services.has(id)), files,
    isCall: valueOf(job.node, "call") !== undefined,
  };
}

export function fileName({ job, path }: Wanted["files"][number]): string {
  return `${job}/${path}`;
}

/** What is written there first: nothing, and the job's own input. */
export function firstGiven(document: Document, key: string): Given {
  const { node } = jobOf(document, key);
  const input = valueOf(node, "input") ?? valueOf(node, "with");
  const text = input === undefined ? "" : JSON.stringify(plainValue(input), undefined, 2);
  return { outputs: {}, files: {}, input: text };
}

/** The pipeline that tests this job, as YAML. @throws {EditError} */
export function trialOf(document: Document, key: string, given: Given): string {
  const job = jobOf(document, key);
  const { jobs, ...pipeline } = pipelineValue(document.root);
  const all = jobMaps(jobs);
  const own = all[job.index] ?? {};
  const { parents, files, isCall } = wantedOf(document, key);
  const services = document.jobs.flatMap((each, at) =>
    (job.parents.includes(each.id ?? "") && isService(each) ? [alone(all[at]!)] : []));
  const standIns = parents.map((id) => standIn(id, {
    output: given.outputs[id] ?? "",
    files: files.filter((each) => each.job === id)
      .map((each) => [each.path, given.files[fileName(each)] ?? ""] as const),
  }));
  const ids = [...standIns, ...services].map(({ id }) => id);
  const tested: Value = { ...alone(own), ...(ids.length > 0 && { depends_on: ids }) };
  if (isCall) {
    delete tested["with"];
    delete tested["input"];
    if (given.input.trim() !== "") tested["input"] = readJson(given.input, `the input of ${key}`);
  }
  return emitYaml({
    ...pipeline, ...ofAgent(pipeline), name: `${String(pipeline["name"] ?? "untitled")}-test`,
    jobs: [...standIns, ...services, tested],
  });
}

function isService({ node }: Job): boolean {
  return textAt(node, "type") === "service";
}

/** A test spends nothing of what the runs of a group share. */
function ofAgent({ agent, agent_run_id: group, name }: Value): Value {
  const { id: _, ...rest } = typeof agent === "object" ? agent as Value : {};
  return {
    ...(agent !== undefined && { agent: rest }),
    ...(group !== undefined && { agent_run_id: `${String(name)}-test` }),
  };
}

/** The job without all that is about other jobs, or about people. */
function alone(job: Value): Value {
  const {
    depends_on: _1, needs: _2, affinity: _3, when: _4, delay: _5, hitl: _6, hitl_message: _7,
    max_wait_seconds: _8, ...rest
  } = job;
  return rest;
}

function standIn(
  id: string, { output, files }: { output: string; files: readonly (readonly [string, string])[] },
): Value & { id: string } {
  const value = output.trim() === "" ? undefined : readJson(output, `the output of ${id}`);
  if (files.length === 0) {
    const action = value === undefined ? { call: "titan:noop" }
      : { call: "titan:echo", input: value };
    return { id, ...action };
  }
  const lines = files.flatMap(([path, text]) => {
    const folder = path.includes("/")
      ? [`mkdir -p ${shellQuoted(path.replace(/\/[^/]*$/, ""))}`] : [];
    return [...folder, ...written(shellQuoted(path), text)];
  });
  if (value !== undefined) lines.push(...written('"$TITAN_OUTPUT"', JSON.stringify(value)));
  return { id, shell: "sh", run: `${lines.join("\n")}\n`, outputs: files.map(([path]) => path) };
}

/** In base64: a text may have any character, and end without a line end. */
function written(path: string, text: string): string[] {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return [`base64 -d > ${path} <<'END'`, ...(btoa(bytes).match(/.{1,76}/g) ?? []), "END"];
}

function shellQuoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}

function readJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new EditError(`Cannot test: ${what} is no JSON (${(error as Error).message}). ` +
      "A text stands in quotes.");
  }
}
