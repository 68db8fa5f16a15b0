/**
 * Lesson 17: the line to write instead of another tool's key, made from the author's own value.
 *
 * Invariant: the line that an advice names is accepted here, unless it holds "…", or names a job or
 * a file that does not exist.
 * Test: test/17-pipelines.newcomers.test.ts
 */
import { resolveScalar, type YamlNode } from "#yaml";
import { parseDuration } from "./duration.ts";
import { MAX_ATTEMPTS, MAX_DURATION_MS, TAG } from "./limits.ts";
import { quoted, scalarAt, shown, textsIn, written } from "./show.ts";

/** The key, its value, and the other keys of its map. */
export interface ForeignKey {
  readonly key: string;
  readonly value: YamlNode;
  has(key: string): boolean;
}
export type Advice = string | ((found: ForeignKey) => string);

/**
 * The same value under Titan's key; when that is there already, the foreign key is one too many.
 */
function rename(key: string): (found: ForeignKey) => string {
  return ({ value, has, key: foreign }) =>
    has(key) ? `"${key}" is here already; leave "${foreign}" out` : `write ${written(key, value)}`;
}

/** Stands for a value that cannot be shown. */
const NONE: YamlNode = {
  kind: "scalar",
  line: 0,
  column: 0,
  length: 1,
  text: "",
  style: "plain",
};

/** A value that does not fit there is left to the author. */
export function renameIf(key: string, fits: (value: YamlNode) => boolean): Advice {
  return (found) => rename(key)(fits(found.value) ? found : { ...found, value: NONE });
}

/** A number of seconds, or a text with a unit, that is a duration here. */
export function isDuration(value: YamlNode): boolean {
  const number = numberIn(value);
  const ms = number === undefined ? parseDuration(textsIn(value)[0] ?? "") : number * 1000;
  return value.kind === "scalar" && typeof ms === "number" && ms >= 0 && ms <= MAX_DURATION_MS;
}

export function isBetween(min: number, max: number): (value: YamlNode) => boolean {
  return (value) => {
    const amount = numberIn(value);
    return amount !== undefined && amount >= min && amount <= max;
  };
}

export function isAttempts(value: YamlNode): boolean {
  return Number.isInteger(numberIn(value)) && isBetween(1, MAX_ATTEMPTS)(value);
}

/** `amount` retries, if that many are allowed. */
export function retries(amount: number | undefined): string {
  const fits = Number.isInteger(amount) && amount! >= 0 && amount! < MAX_ATTEMPTS;
  return fits ? `retries: ${amount}` : "retries: 2";
}

/** A program and its arguments, from a list or from one line. */
export function commandList({ value, has }: ForeignKey): string {
  if (has("command")) return '"command" is here already: put it in front';
  if (value.kind === "sequence") return `write ${written("command", value)}`;
  const words = (textsIn(value)[0] ?? "").split(/\s+/).filter((word) => word !== "");
  const fits = words.length > 0 && words.length <= 8;
  return `write command: [${fits ? words.map(quoted).join(", ") : "…"}]`;
}

export function numberIn(node: YamlNode): number | undefined {
  if (node.kind !== "scalar") return undefined;
  const resolved = resolveScalar(node);
  return resolved.type === "number" ? resolved.value : undefined;
}

export function inUnit(key: string, unit: "m" | "s"): (found: ForeignKey) => string {
  return ({ value }) => {
    const amount = numberIn(value);
    const word = unit === "m" ? "minutes" : "seconds";
    const text = amount === undefined ? textsIn(value)[0] : `${amount}${unit}`;
    const ms = text === undefined ? undefined : parseDuration(text);
    const fits = typeof ms === "number" && ms >= 0 && ms <= MAX_DURATION_MS;
    const time = fits ? text : "…";
    return `write ${key}: ${time} (${unit} is ${word})`;
  };
}

/** An id made from a name for people. */
export function idFrom({ value, has }: ForeignKey): string {
  if (has("id")) {
    return 'a job has no name beside its id; "x-name" may hold one, which nobody reads';
  }
  return `write id: ${nameFrom(value)}`;
}

/** A text with the characters that ids and names may have. */
export function nameFrom(value: YamlNode): string {
  if (value.kind !== "scalar" || resolveScalar(value).type === "null") return "…";
  const name = value.text
    .trim()
    .replace(/[^A-Za-z0-9_.-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+|-$/g, "");
  return name === "" ? "…" : name.slice(0, 40);
}

export function script({ value, has, key }: ForeignKey): string {
  if (has("run")) return `"run" is here already; leave "${key}" out`;
  const [line, ...more] = value.kind === "sequence" ? textsIn(value) : [];
  if (line !== undefined && more.length > 0) {
    return "write run: | and each command on a line of its own below it";
  }
  if (line !== undefined) return `write run: ${quoted(line)}`;
  const file = value.kind === "scalar" && /^[\w./-]+\.(?:py|js|mjs|ts|sh)$/.test(value.text);
  if (file) return `write ${written("file", value)}`;
  if (value.kind !== "scalar" || shown(value) === undefined) {
    return "write run: | and the script below it";
  }
  return `write ${written("run", value)}`;
}

export function scriptFor(shell: string): Advice {
  return ({ value }) => {
    const text = value.kind === "scalar" ? shown(value) : undefined;
    const run = text === undefined ? "run: | and the script below it" : `run: ${text}`;
    return `write ${run}, and shell: ${shell}`;
  };
}

/** `if: always()` and its kin. */
export function condition({ value }: ForeignKey): string {
  const text = value.kind === "scalar" ? value.text.replace(/^\$\{\{|\}\}$/g, "").trim() : "";
  if (/^(?:always\(\)|all_?done|true)$/i.test(text)) return "write when: always";
  if (/^(?:failure\(\)|on_?failure|(?:one|all)_failed|cancelled\(\))$/i.test(text)) {
    return "write when: failure";
  }
  if (/^(?:success\(\)|on_?success|all_success)$/i.test(text)) {
    return "leave it out: when: success is the default";
  }
  if (text === "!cancelled()") return "write when: always";
  return '"when" is success, failure or always: test anything else inside the script';
}

export function capabilities({ value, has }: ForeignKey): string {
  if (has("requirement")) return '"requirement" is here already; it may be a list';
  const texts = textsIn(value);
  const images = /^(?:ubuntu|windows|macos|self-hosted|default)/i;
  if (texts.length > 0 && texts.every((text) => images.test(text))) {
    return 'leave it out: any worker may run the job ("requirement" names tags of workers)';
  }
  const areTags = texts.length > 0 && texts.every((text) => TAG.test(text));
  if (!areTags) return "write requirement: […], tags of workers";
  return `write ${written("requirement", value)}`;
}

/** A list, or compose's map of conditions. */
export function parents({ value, has, key }: ForeignKey): string {
  if (has("depends_on") || has("needs")) return `"depends_on" is here already; leave "${key}" out`;
  if (value.kind === "mapping") return `write depends_on: ${listOfKeys(value)}`;
  return `write ${written("depends_on", value)}`;
}

/** The keys of a map as a list. */
export function listOfKeys(value: YamlNode): string {
  const keys = value.kind === "mapping" ? value.entries.map(({ key }) => quoted(key.text)) : [];
  return keys.length === 0 || keys.length > 8 ? "[…]" : `[${keys.join(", ")}]`;
}

export function attempts({ value }: ForeignKey): string {
  const amount = numberIn(value);
  const again = amount === undefined ? undefined : amount - 1;
  return `write ${retries(again)} (the first attempt is no retry)`;
}

export function strategy({ value }: ForeignKey): string {
  const limit = scalarAt(value, "limit", "maxAttempts", "max_attempts", "max");
  return `write retries: ${limit ?? 2}, or retry: {max_attempts: …, delay: …, backoff: …}`;
}

export function gate({ value, has }: ForeignKey): string {
  if (has("type")) return 'it goes into the "hitl_message" of the job before';
  const message =
    value.kind === "scalar" ? value.text : scalarAt(value, "message", "prompt", "description");
  const usable =
    message !== undefined && !/^(?:true|yes|on|manual|)$/i.test(message) && !message.includes("\n");
  const text = usable ? JSON.stringify(message.slice(0, 60)) : '"…"';
  return `write hitl_message: ${text}; the jobs that depend on this one then wait for a person`;
}

/**
 * GitHub's `environment: production` is about approval; everywhere else the word is about
 * variables.
 */
export function environment(found: ForeignKey): string {
  if (found.value.kind === "mapping") return `write ${written("env", found.value)}`;
  if (found.value.kind === "sequence") {
    return `write env: ${envMap(found.value) ?? "{NAME: value}"}`;
  }
  return 'variables go into env: {NAME: value}; an approval is hitl_message: "…"';
}

/** `[A=b]` of compose and `[{name: A, value: b}]` of Kubernetes as a map. */
export function envMap(value: YamlNode): string | undefined {
  if (value.kind !== "sequence") return undefined;
  if (value.items.length === 0 || value.items.length > 8) return undefined;
  const pairs = value.items.map((item) => {
    const [, name, text] = (item.kind === "scalar" && /^(\w+)=(.*)$/.exec(item.text)) || [];
    const key = name ?? scalarAt(item, "name");
    const content = text ?? scalarAt(item, "value");
    return key === undefined || content === undefined ? undefined : `${key}: ${quoted(content)}`;
  });
  return pairs.includes(undefined) ? undefined : `{${pairs.join(", ")}}`;
}

export const NO_SECRETS =
  "Titan has no secrets yet: let the script read them on the worker (a file, or a vault's own " +
  "command)";
export const NO_PARAMETERS =
  "Titan has no parameters: use env in the jobs, or make the file by a program (titan run -)";
export const NO_TRIGGERS =
  "a pipeline starts when somebody runs it: let cron call titan run FILE --key NAME";
export const NO_CONCURRENCY =
  "Titan has no such limit yet: slots of the workers bound what runs at once";
export const NO_FILES =
  "files go from job to job by outputs and inputs; what stays on one machine lies in TITAN_SHARED";
/** `ports: ["8080:80"]` of compose: the port inside is the one that the program listens on. */
export function portOf({ value }: ForeignKey): string {
  const port = /(\d{1,5})(?:\/tcp)?$/.exec(textsIn(value)[0] ?? "")?.[1] ?? "N";
  return `a service has one port: type: service, and port: ${port}`;
}

export const A_SERVICE = "a service is a job with type: service (and port, healthcheck, restart)";
export const PROBES = "a service has healthcheck: {http: /path}, {command: […]} or tcp";
export const NO_CONTAINERS =
  "jobs run on the worker itself: write run: docker run --rm IMAGE COMMAND";
export const NO_MATRIX =
  "Titan has no loops: write one job for each value, or make the file by a program (titan run -)";
export const NO_TEMPLATES =
  'share what is common: "x-base: &base {…}" at the top, "<<: *base" in each job';
export const NO_STEPS =
  "a job is one script: write the commands below run: | or make each step a job with depends_on";
export const COMMENT = 'nobody reads it: make it a comment, or "x-description"';

export function folder({ value }: ForeignKey): string {
  const path = value.kind === "scalar" && value.text !== "" ? value.text : "FOLDER";
  return `a job starts in the project's folder: begin its script with cd ${quoted(path)}`;
}

export function envFile({ value }: ForeignKey): string {
  const [path = "FILE"] = textsIn(value);
  const file = path.startsWith("/") || path.startsWith("./") ? path : `./${path}`;
  return `begin the script with: set -a; . ${quoted(file)}; set +a`;
}

/** A key of a job at the top of the file. */
export const belongsToJob: Advice = ({ key, value }) =>
  `"${key}" belongs to a job: write it in each, or share it ` +
  `("x-base: &base {${written(key, value)}}", "<<: *base")`;
export const belongsToPipeline: Advice = ({ key }) =>
  `"${key}" belongs to the pipeline: write it at the top of the file`;
