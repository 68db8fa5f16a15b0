/**
 * `pools.yaml`, read as strictly as a pipeline: all problems at once, each with its place and, for
 * a slip of the keyboard, the key that was meant (lesson 13).
 *
 *     pools:
 *       - name: gpu
 *         tags: [GPU]
 *         max: 4
 *         up: [sbatch, --parsable, gpu-worker.sh]
 *         down: [scancel]
 *
 * Test: test/13-scaling.pools.test.ts
 */
import { didYouMean } from "#base";
import type { RetryPolicy } from "#retry";
import {
  DEFAULT_MAX, definePool, MAX_DOWN_WORD_BYTES, MAX_DOWN_WORDS, MAX_POOL_NAME_CHARS, MAX_POOLS,
  type Pool,
} from "#scaling";
import { MAX_SLOTS, MAX_WORKERS } from "#wire";
import type { YamlNode } from "#yaml";
import { clip, describe, Fields } from "./fields.ts";
import { readId, readTags } from "./job.ts";
import * as limits from "./limits.ts";
import type { Report } from "./problems.ts";
import { readText } from "./text.ts";
import { splitWords } from "./words.ts";

/** How the workers of a pool are started and stopped. */
export type PoolDriver =
  /** A child process of the master's machine. */
  | { readonly type: "process" }
  /** A program that orders one and prints its handle; the other gets that, and ends it. */
  | { readonly type: "command"; readonly up: readonly string[]; readonly down: readonly string[] };

export interface PoolDefinition extends Pool {
  readonly driver: PoolDriver;
}

const KEYS = [
  "name", "tags", "slots", "min", "max", "up", "down", "up_after", "idle", "cooldown",
  "start_timeout", "retry",
] as const;
const RETRY_KEYS = ["delay", "backoff", "max_delay", "jitter"] as const;

/**
 * The pools of a text, in its order, which is the order in which pools with equal tags are asked.
 *
 * @throws {PipelineError} with all problems, each with line, column and caret.
 * @example
 * ```ts
 * import { readPools } from "#pipeline";
 * const [pool] = readPools("pools: [{name: web, max: 8, idle: 2m}]");
 * [pool?.max, pool?.idleMs, pool?.driver.type] // => [ 8, 120000, 'process' ]
 * ```
 */
export function readPools(
  text: string, { file = "<pools>" }: { file?: string | undefined } = {},
): PoolDefinition[] {
  return readText(text, { file, what: "pools" }, readAll);
}

function readAll(report: Report, root: YamlNode): PoolDefinition[] | undefined {
  if (root.kind !== "mapping") {
    const found = `must be a map with a list of pools, found ${describe(root)}`;
    return report.problem("WRONG_TYPE", root, `a file of pools ${found}`);
  }
  const fields = new Fields(report, root, { known: ["pools"], scope: "" });
  const list = fields.value("pools");
  if (list === undefined) {
    // `pool:` has been reported, and there was a hint in it.
    const slip = root.entries.some(({ key }) => didYouMean(key.text, ["pools"]) !== undefined);
    return slip ? undefined : report.problem("MISSING_KEY", root, "the file needs pools");
  }
  if (list.kind !== "sequence") return fields.wrong("pools", list, "a list");
  if (list.items.length === 0) return report.problem("EMPTY", list, '"pools" must not be empty');
  if (list.items.length > MAX_POOLS) {
    return report.problem("TOO_LARGE", list, `more than ${MAX_POOLS} pools`);
  }
  const names = new Map<string, YamlNode>();
  return list.items.flatMap((item, index) => readPool(report, item, { index, names }) ?? []);
}

function readPool(
  report: Report,
  node: YamlNode,
  { index, names }: { index: number; names: Map<string, YamlNode> },
): PoolDefinition | undefined {
  const number = `pool ${index + 1}`;
  if (node.kind !== "mapping") {
    const what = `${number} must be a map with name and max, found ${describe(node)}`;
    return report.problem("WRONG_TYPE", node, what);
  }
  const before = report.count;
  const written = node.entries.find(({ key }) => key.text === "name")?.value;
  const called = written?.kind === "scalar" ? `pool ${JSON.stringify(clip(written.text))}` : number;
  const fields = new Fields(report, node, { known: KEYS, scope: ` in ${called}` });
  const name = readName(fields, { number, names });
  const numbers = readNumbers(fields);
  const times = readTimes(fields);
  const tags = readTags(fields, "tags");
  const retry = readRetry(fields);
  const driver = readDriver(fields);
  if (report.count > before) return undefined;
  return { ...definePool({ name, tags, ...numbers, ...times, ...retry }), driver: driver! };
}

function readName(
  fields: Fields, { number, names }: { number: string; names: Map<string, YamlNode> },
): string {
  const id = readId(fields, "name", number);
  if (id === undefined) return "";
  const other = names.get(id.text);
  names.set(id.text, id.node);
  if (other !== undefined) {
    const what = `two pools have the name "${id.text}"; the other is in line ${other.line}`;
    fields.report.problem("DUPLICATE_ID", id.node, what);
  }
  if (id.text.length > MAX_POOL_NAME_CHARS) {
    const what = `is longer than ${MAX_POOL_NAME_CHARS} characters: workers are named after it`;
    fields.refuse("TOO_LARGE", "name", what, id.node);
  }
  return id.text;
}

/** Only what is written: `definePool` has the defaults. */
function readNumbers(fields: Fields): Partial<Pool> {
  const slots = fields.number("slots", { min: 1, max: MAX_SLOTS, whole: true });
  const bounds = { min: 0, max: MAX_WORKERS, whole: true };
  const min = fields.number("min", bounds);
  const max = fields.number("max", bounds);
  if (min !== undefined && max !== undefined && max < min) {
    const what = `must not be below min, which is ${min}; found ${max}`;
    fields.refuse("OUT_OF_RANGE", "max", what, fields.value("max")!);
  } else if (min !== undefined && min > DEFAULT_MAX && !fields.has("max")) {
    const what = `must not be above max, which is ${DEFAULT_MAX} by default; found ${min}`;
    fields.refuse("OUT_OF_RANGE", "min", what, fields.value("min")!);
  }
  return given({ slots, min, max });
}

function readTimes(fields: Fields): Partial<Pool> {
  const startTimeoutMs = fields.duration("start_timeout");
  if (startTimeoutMs === 0) {
    const what = "must be more than 0: no worker could come in time";
    fields.refuse("OUT_OF_RANGE", "start_timeout", what, fields.value("start_timeout")!);
  }
  return given({
    upAfterMs: fields.duration("up_after"),
    idleMs: fields.duration("idle"),
    cooldownMs: fields.duration("cooldown"),
    startTimeoutMs,
  });
}

function readRetry(fields: Fields): { retry?: RetryPolicy } {
  const retry = fields.map("retry", RETRY_KEYS);
  if (retry === undefined) return {};
  const policy: Partial<RetryPolicy> = given({
    delayMs: retry.duration("delay"),
    maxDelayMs: retry.duration("max_delay"),
    backoff: retry.number("backoff", { min: 1, max: limits.MAX_BACKOFF, whole: false }),
    jitter: retry.number("jitter", { min: 0, max: 1, whole: false }),
  });
  const { delayMs = limits.DEFAULT_RETRY.delayMs, maxDelayMs } = policy;
  if (maxDelayMs !== undefined && maxDelayMs < delayMs) {
    retry.refuse("OUT_OF_RANGE", "max_delay", "is shorter than the first delay");
  }
  // A first delay beyond the usual cap is meant, so the cap gives way.
  const longest = Math.max(limits.DEFAULT_RETRY.maxDelayMs, delayMs);
  return { retry: { ...limits.DEFAULT_RETRY, maxDelayMs: longest, ...policy } };
}

function readDriver(fields: Fields): PoolDriver | undefined {
  const up = readArgv(fields, "up");
  const down = readArgv(fields, "down");
  for (const [one, other] of [["up", "down"], ["down", "up"]] as const) {
    if (fields.has(one) || !fields.has(other)) continue;
    const why = one === "down" ? "nothing could end a worker" : "nothing would start";
    fields.refuse("CONFLICT", other, `needs "${one}" beside it: ${why}`);
  }
  if (!fields.has("up")) return { type: "process" };
  return up && down && { type: "command", up, down };
}

/** A program and its arguments. No shell sees them, so a line of text would be one long name. */
function readArgv(fields: Fields, key: "up" | "down"): string[] | undefined {
  const node = fields.value(key);
  if (node === undefined) return undefined;
  if (node.kind === "scalar") {
    const words = splitWords(node.text);
    const list = "words" in words ? words.words : [];
    const isPlain = list.length > 0 && list.every((word) => /^[\w./:=@%+-]+$/.test(word));
    const help = isPlain ? `: write ${key}: [${clip(list.join(", "))}]` : "";
    return fields.wrong(key, node, "a list of a program and its arguments", help);
  }
  const argv = fields.texts(key, { max: MAX_DOWN_WORDS, empty: true });
  if (argv === undefined) return undefined;
  const [program] = argv;
  if (program === undefined || program.text === "") {
    return fields.refuse("EMPTY", key, "must begin with a program", node);
  }
  if (argv.some(({ text }) => Buffer.byteLength(text) > MAX_DOWN_WORD_BYTES)) {
    const what = `has a word of more than ${MAX_DOWN_WORD_BYTES} bytes: put it into a file`;
    return fields.refuse("TOO_LARGE", key, what, node);
  }
  return argv.map(({ text }) => text);
}

/** Without the fields that are undefined. */
function given<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const written = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(written) as { [K in keyof T]?: NonNullable<T[K]> };
}
