/**
 * Lesson 17: one entry of `jobs`.
 *
 * Invariants: a definition is returned only if nothing in the job was wrong; the id and the names
 * of its parents are returned in any case, so that the graph can be checked around a broken job.
 * Test: test/17-pipelines.test.ts
 */
import { resolveScalar, setOwn, type MappingNode, type ScalarNode, type YamlNode } from "#yaml";
import { readAction, readShell } from "./action.ts";
import { envMap, retries as retriesLine } from "./advice.ts";
import { booleanHelp, clip, describe, Fields, type Text } from "./fields.ts";
import {
  DEFAULT_RETRY,
  MAX_ATTEMPTS,
  MAX_BACKOFF,
  MAX_ENV,
  MAX_ENV_BYTES,
  MAX_ENV_NAME_CHARS,
  MAX_ID_CHARS,
  MAX_JOBS,
  MAX_PRIORITY,
  MAX_TAGS,
  TAG,
} from "./limits.ts";
import { readFiles, type NamedInput, type ReadFiles } from "./job-files.ts";
import type { Report } from "./problems.ts";
import { readGate } from "./gate.ts";
import { readService } from "./service.ts";
import { scalarAt, shown, textsIn } from "./show.ts";
import type { JobDefinition, RetryDefinition, ShellName } from "./types.ts";

export const JOB_KEYS = [
  "id", "type", "file", "args", "command", "run", "shell", "call", "input", "with",
  "depends_on", "needs", "requirement", "priority", "delay", "affinity", "port",
  "hitl_message", "max_wait_seconds", "hitl", "retries", "retry", "timeout", "env", "when",
  "healthcheck", "restart", "replicas", "stop_grace", "outputs", "inputs",
] as const;
export const RETRY_KEYS = ["max_attempts", "delay", "backoff", "max_delay", "jitter"] as const;

const ID = new RegExp(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,${MAX_ID_CHARS - 1}}$`);
const ENV_NAME = new RegExp(`^[A-Za-z_][A-Za-z0-9_]{0,${MAX_ENV_NAME_CHARS - 1}}$`);

/** A job as far as it could be read. */
export interface ReadJob {
  readonly node: YamlNode;
  readonly scope: string;
  readonly id: Text | undefined;
  readonly parents: readonly Text[];
  readonly affinity: ScalarNode | undefined;
  readonly inputs: readonly NamedInput[];
  readonly definition: JobDefinition | undefined;
}

/** The id or name under `key`, if it is a valid one. */
export function readId(fields: Fields, key: string, what: string): Text | undefined {
  const node = fields.value(key);
  if (!node && fields.meant.has(key)) return undefined;
  if (!node) {
    const missing = key === "id" ? "an id" : "a name";
    return fields.report.problem("MISSING_KEY", fields.node, `${what} needs ${missing}`);
  }
  const id = fields.textOf(key, node);
  if (!id || ID.test(id.text)) return id;
  const fixed = id.text
    .trim()
    .replace(/[^A-Za-z0-9_.-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+|-$/g, "")
    .slice(0, MAX_ID_CHARS);
  const help = ID.test(fixed) ? ` (for example "${clip(fixed)}")` : "";
  const most = MAX_ID_CHARS - 1;
  const rule =
    `must begin with a letter or digit and go on with up to ${most} letters, digits, ` +
    '"_", "." or "-"';
  const found = JSON.stringify(clip(id.text));
  return fields.refuse("BAD_VALUE", key, `${rule}, found ${found}${help}`, node);
}

/** `shell` is the one that the pipeline names for all its jobs. */
export function readJob(
  report: Report,
  node: YamlNode,
  { index, shell }: { index: number; shell: ShellName },
): ReadJob {
  if (node.kind !== "mapping") {
    const wanted = "a map with id and one of file, command, run or call";
    const what = `job ${index + 1} must be ${wanted}, found ${describe(node)}`;
    report.problem("WRONG_TYPE", node, what);
    return {
      node,
      scope: ` in job ${index + 1}`,
      id: undefined,
      parents: [],
      affinity: undefined,
      inputs: [],
      definition: undefined,
    };
  }
  const before = report.count;
  const scope = scopeOf(node, index);
  const fields = new Fields(report, node, { known: JOB_KEYS, scope, level: "job" });
  const id = readId(fields, "id", `job ${index + 1}`);
  const isPlain = node.entries.every(({ key }) => PLAIN_KEYS.has(key.text));
  const service = isPlain ? undefined : readService(fields, readType(fields) === "service");
  const parents = readParents(fields);
  const affinity = isPlain ? undefined : readAffinity(fields, parents);
  const action = readAction(fields, readShell(fields) ?? shell);
  const isService = service !== undefined;
  const { files, inputs } = isPlain ? NO_FILES : readFiles(fields, { isService, action });
  const definition: JobDefinition = {
    id: id?.text ?? "",
    action: action as NonNullable<typeof action>,
    dependsOn: parents.map(({ text }) => text),
    affinity: affinity?.text,
    ...(isPlain ? plainRest() : readRest(fields)),
  };
  if (service !== undefined) definition.service = service;
  if (files !== undefined) definition.files = files;
  // Others may name the job by the text that should have been its id: the graph needs that name.
  const standIn = id === undefined ? fields.meant.get("id") : undefined;
  const named = standIn?.kind === "scalar" && ID.test(standIn.text);
  const known = named ? { text: standIn.text, node: standIn } : id;
  const complete = report.count === before ? definition : undefined;
  return { node, scope, id: known, parents, affinity, inputs, definition: complete };
}

/** Most jobs have no others, and then thirty need not be looked for. */
const PLAIN_KEYS: ReadonlySet<string> =
  new Set(["id", "file", "args", "command", "run", "shell", "call", "input", "with",
    "depends_on", "needs"]);

const NO_FILES: ReadFiles = { files: undefined, inputs: [] };

/** What a job is beside its action, its files and its place in the graph. */
type Rest = Pick<
  JobDefinition,
  "requirement" | "priority" | "delayMs" | "when" | "timeoutMs" | "retry" | "env" | "gate"
>;

function readRest(fields: Fields): Rest {
  return {
    requirement: readTags(fields, "requirement"),
    priority: fields.number("priority", PRIORITIES) ?? 1,
    delayMs: fields.duration("delay") ?? 0,
    when: fields.oneOf("when", ["success", "failure", "always"], whenHelp(fields)) ?? "success",
    timeoutMs: fields.duration("timeout") ?? 0,
    retry: readRetry(fields),
    env: readEnv(fields),
    gate: readGate(fields),
  };
}

/** The same of a job that says nothing about it. */
function plainRest(): Rest {
  return {
    requirement: [], priority: 1, delayMs: 0, when: "success", timeoutMs: 0,
    retry: { ...DEFAULT_RETRY }, env: {}, gate: undefined,
  };
}

const PRIORITIES = { min: -MAX_PRIORITY, max: MAX_PRIORITY, whole: true } as const;

/** ` in job "train"`; by number if the id is unusable. */
function scopeOf(node: MappingNode, index: number): string {
  const named = (wanted: string) => node.entries.find(({ key }) => key.text === wanted)?.value;
  const id = named("id") ?? named("name");
  const usable = id?.kind === "scalar" && ID.test(id.text);
  return usable ? ` in job "${id.text}"` : ` in job ${index + 1}`;
}

function readType(fields: Fields): "run" | "service" | undefined {
  return fields.oneOf("type", ["run", "service"], typeHelp(fields));
}

/** Advice about a step that asks a person, or does one thing: here, other keys say both. */
function typeHelp(fields: Fields): string {
  const node = fields.value("type");
  if (node === undefined) return "";
  const text = node.kind === "scalar" ? node.text.toLowerCase() : "";
  if (/^(?:gate|approval|approve|manual|hitl|human|pause|suspend|wait|input)$/.test(text)) {
    const given = scalarAt(fields.node, "message", "hitl_message", "prompt", "description");
    const message = JSON.stringify((given ?? "…").slice(0, 60));
    const parents = fields.value("depends_on") ?? fields.value("needs");
    const before = parents && shown(parents) ? textsIn(parents).join(" and ") : "before it";
    // The gate is no job of its own, so nothing is missing in it.
    fields.meant.set("run", fields.node);
    return fields.report.foreign(
      `: a gate is no job of its own: write hitl_message: ${message} into the job ${before}`,
    );
  }
  const program = /^(?:task|job|step|shell|script|bash|sh|python|command|batch|docker)$/.test(text);
  if (!program) return "";
  return fields.report.foreign(": leave it out: run, command, file or call says what the job does");
}

function whenHelp(fields: Fields): string {
  const node = fields.value("when");
  if (node === undefined) return "";
  const text = node.kind === "scalar" ? node.text : "";
  const meant = MEANT_WHEN.find(([pattern]) => pattern.test(text))?.[1];
  if (text === "manual") {
    return fields.report.foreign(': a person is asked by hitl_message: "…" in the job before it');
  }
  // An expression, or another tool's word for the same. A typing error gets its hint elsewhere.
  if (meant === undefined || !/^(?:on_|all_|one_|\$\{\{)|\(\)/.test(text)) return "";
  return fields.report.foreign(`: write when: ${meant}`);
}

const MEANT_WHEN = [
  [/success/i, "success"],
  [/fail/i, "failure"],
  [/always|done/i, "always"],
] as const;

function readParents(fields: Fields): readonly Text[] {
  const key = fields.either("depends_on", "needs");
  const named = fields.texts(key, { max: MAX_JOBS, single: true }) ?? [];
  const seen = new Set<string>();
  return named.filter(({ text, node }) => {
    if (!seen.has(text)) {
      seen.add(text);
      return true;
    }
    fields.report.warn(node, `"${key}"${fields.scope} names "${clip(text)}" twice`);
    return false;
  });
}

/** `true` is the first parent, a text is the parent of that name. */
function readAffinity(fields: Fields, parents: readonly Text[]): ScalarNode | undefined {
  const node = fields.value("affinity");
  if (!node) return undefined;
  const resolved = node.kind === "scalar" ? resolveScalar(node) : undefined;
  const named = parents.some(({ text }) => node.kind === "scalar" && text === node.text);
  const help = booleanHelp(node);
  if (node.kind !== "scalar" || (!named && help !== "")) {
    return fields.wrong("affinity", node, "true, false or the id of a parent", help);
  }
  if (resolved?.type !== "boolean") return fields.textOf("affinity", node)?.node;
  if (!resolved.value) return undefined;
  if (parents.length > 0) return parents[0]?.node;
  return fields.refuse(
    "BAD_VALUE",
    "affinity",
    "is true, but the job has no parent to stay with",
    node,
  );
}

/** Tags without repetitions and without GENERAL, which every worker has. */
export function readTags(fields: Fields, key: string): string[] {
  const tags = fields.texts(key, { max: MAX_TAGS, single: true }) ?? [];
  for (const { text, node } of tags) {
    if (TAG.test(text)) continue;
    const words = text.split(/[\s,]+/);
    const isList = /^[\w.:-]+(?:[\s,]+[\w.:-]+)+$/.test(text);
    const help = isList ? `: write [${words.join(", ")}]` : "";
    const rule = 'must be a tag of letters, digits, "_", ".", ":" or "-"';
    const found = JSON.stringify(clip(text));
    fields.refuse("BAD_VALUE", key, `${rule}, found ${found}${help}`, node);
  }
  return [...new Set(tags.map(({ text }) => text))].filter((tag) => tag !== "GENERAL");
}

function readRetry(fields: Fields): RetryDefinition {
  if (fields.has("retry") && fields.has("retries")) {
    const what = `"retries" and "retry"${fields.scope}: give one of them`;
    const help = "(retries: 2 is retry: {max_attempts: 3})";
    fields.report.problem("CONFLICT", fields.keyNode("retries"), `${what} ${help}`);
  }
  const retries = fields.number("retries", { min: 0, max: MAX_ATTEMPTS - 1, whole: true });
  const retry = fields.map("retry", RETRY_KEYS, (node) => retryHelp(fields, node));
  if (!retry) return { ...DEFAULT_RETRY, maxAttempts: (retries ?? 0) + 1 };
  const delayMs = retry.duration("delay") ?? DEFAULT_RETRY.delayMs;
  const maxDelayMs = retry.duration("max_delay");
  if (maxDelayMs !== undefined && maxDelayMs < delayMs) {
    const node = retry.value("max_delay") as YamlNode;
    retry.refuse("OUT_OF_RANGE", "max_delay", "is shorter than the first delay", node);
  }
  const usual = DEFAULT_RETRY;
  const attempts = { min: 1, max: MAX_ATTEMPTS, whole: true };
  return {
    maxAttempts: retry.number("max_attempts", attempts) ?? usual.maxAttempts,
    delayMs,
    backoff: retry.number("backoff", { min: 1, max: MAX_BACKOFF, whole: false }) ?? usual.backoff,
    // The author means a delay beyond the default cap, so the cap gives way.
    maxDelayMs: maxDelayMs ?? Math.max(usual.maxDelayMs, delayMs),
    jitter: retry.number("jitter", { min: 0, max: 1, whole: false }) ?? usual.jitter,
  };
}

/** `retry: 3`. */
function retryHelp(fields: Fields, node: YamlNode): string {
  const resolved = node.kind === "scalar" ? resolveScalar(node) : undefined;
  if (resolved?.type !== "number") return "";
  const line = retriesLine(resolved.value);
  const attempts = Number(line.slice("retries: ".length)) + 1;
  return fields.report.foreign(`: write ${line} (${attempts} attempts at most)`);
}

function readEnv(fields: Fields): Record<string, string> {
  const env = {};
  const node = fields.value("env");
  if (!node) return env;
  if (node.kind !== "mapping") {
    const map = envMap(node);
    const help = map === undefined ? "" : fields.report.foreign(`: write env: ${map}`);
    fields.wrong("env", node, "a map of names and texts", help);
    return env;
  }
  if (node.entries.length > MAX_ENV) {
    fields.refuse("TOO_LARGE", "env", `has more than ${MAX_ENV} entries`, node);
    return env;
  }
  for (const { key, value } of node.entries) {
    const name = clip(key.text);
    const wrong = envNameProblem(key.text);
    if (wrong !== undefined) fields.refuse("BAD_VALUE", "env", wrong, key);
    const maxBytes = MAX_ENV_BYTES - key.text.length;
    const text = fields.textOf(`env.${name}`, value, { empty: true, maxBytes });
    if (text) setOwn(env, key.text, text.text);
  }
  return env;
}

function envNameProblem(name: string): string | undefined {
  const shown = clip(name);
  if (!ENV_NAME.test(name)) {
    return `has the name ${JSON.stringify(shown)}: use letters, digits and "_", no digit first`;
  }
  if (!name.startsWith("TITAN_")) return undefined;
  return `sets ${shown}: names beginning with TITAN_ are Titan's own`;
}
