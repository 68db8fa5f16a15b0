/**
 * Lesson 17: reading the fields of a map, each with the type that it should have.
 *
 * The tree keeps source text, so the *field* decides what a scalar means: `3` in `priority` is a
 * number, in `env` it is the text "3", and `no` is text everywhere, or an error where the field
 * wants a boolean. No value is converted twice.
 *
 * Invariants: a method returns undefined if the field is absent or wrong; in the second case the
 * problem has been reported.
 * Test: test/17-pipelines.test.ts
 */
import { hint } from "#base";
import { resolveScalar, type MappingNode, type ScalarNode, type YamlNode } from "#yaml";
import { parseDuration, secondsToMs } from "./duration.ts";
import { MAX_DURATION_MS, MAX_TEXT_BYTES } from "./limits.ts";
import { listOfKeys } from "./advice.ts";
import { adviceFor, jobBesideOthers } from "./foreign.ts";
import type { At, PipelineErrorCode, Report } from "./problems.ts";

const SHOWN_CHARS = 40;

/** A node as a person would describe it. */
export function describe(node: YamlNode): string {
  if (node.kind === "sequence") return "a list";
  if (node.kind === "mapping") return "a map";
  const resolved = resolveScalar(node);
  if (resolved.type === "null") return "nothing";
  if (resolved.type === "number" || resolved.type === "boolean") {
    return `the ${resolved.type} ${clip(node.text)}`;
  }
  return `the text ${JSON.stringify(clip(node.text))}`;
}

export function clip(text: string): string {
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}

export interface Text {
  readonly text: string;
  readonly node: ScalarNode;
}

interface TextOptions {
  readonly maxBytes?: number;
  /** An empty text is allowed. */
  readonly empty?: boolean;
}

interface TextsOptions extends TextOptions {
  readonly max: number;
  /** One text stands for a list of one. */
  readonly single?: boolean;
}

export interface FieldsOptions {
  readonly known: readonly string[];
  /** ` in job "train"`, for messages. */
  readonly scope: string;
  /** The map that these fields are in, for advice about keys of other tools. */
  readonly level?: "pipeline" | "job" | "retry";
}

export class Fields {
  readonly report: Report;
  readonly node: MappingNode;
  /** ` in job "train"`, for messages. */
  readonly scope: string;
  /** Titan's keys that unknown ones stand for: it is no second mistake that they are absent. */
  readonly meant = new Map<string, YamlNode>();
  readonly #values = new Map<string, { key: ScalarNode; value: YamlNode }>();

  /** Reports every key that is not `known`; `x-…` is anyone's. */
  constructor(report: Report, node: MappingNode, options: FieldsOptions) {
    this.report = report;
    this.node = node;
    this.scope = options.scope;
    for (const { key, value } of node.entries) {
      if (key.text.startsWith("x-")) continue;
      this.#values.set(key.text, { key, value });
    }
    // After all keys are known: the advice depends on the keys that are there already.
    for (const { key, value } of node.entries) {
      if (key.text.startsWith("x-") || options.known.includes(key.text)) continue;
      this.#unknown(key, value, options);
    }
  }

  #unknown(key: ScalarNode, value: YamlNode, { known, scope, level }: FieldsOptions): void {
    const rest = known.filter((name) => !this.has(name));
    const slip = hint(key.text, rest);
    const found = { key: key.text, value, has: (other: string) => this.has(other) };
    let advice = level === undefined ? undefined : adviceFor(level, found);
    if (level === "pipeline" && slip === "") advice ??= jobBesideOthers(found);
    for (const [, own] of (advice ?? "").matchAll(/\b(id|name|jobs|run|file|command|call): /g)) {
      this.meant.set(own as string, value);
    }
    const help = advice === undefined ? slip : this.report.foreign(`: ${advice}`);
    this.report.problem("UNKNOWN_KEY", key, `unknown key "${clip(key.text)}"${scope}${help}`);
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** The key as it was written, to point at. */
  keyNode(key: string): ScalarNode | MappingNode {
    return this.#values.get(key)?.key ?? this.node;
  }

  value(key: string): YamlNode | undefined {
    return this.#values.get(key)?.value;
  }

  /** `first` or its other name, whichever is there. Both together are a problem. */
  either(first: string, second: string): string {
    if (this.has(first) && this.has(second)) {
      const what = `is another name for "${first}": give one of them`;
      this.refuse("CONFLICT", second, what);
    }
    return this.has(first) ? first : second;
  }

  /** Reports a problem with the field `key`: `"args" in job "a" has more than 10 entries`. */
  refuse(
    code: PipelineErrorCode,
    key: string,
    what: string,
    at: At | YamlNode = this.keyNode(key),
  ): undefined {
    return this.report.problem(code, at, `"${key}"${this.scope} ${what}`);
  }

  wrong(key: string, node: YamlNode, expected: string, help?: string | false): undefined {
    const found = `must be ${expected}, found ${describe(node)}${help || ""}`;
    return this.refuse("WRONG_TYPE", key, found, node);
  }

  /** Text exactly as it was written: `1.0` stays "1.0". */
  text(key: string, options: TextOptions = {}): string | undefined {
    const node = this.value(key);
    return node && this.textOf(key, node, options)?.text;
  }

  textOf(key: string, node: YamlNode, options: TextOptions = {}): Text | undefined {
    if (node.kind !== "scalar") return this.wrong(key, node, "text");
    if (resolveScalar(node).type === "null") {
      const empty = options.empty ? ': write "" for an empty text' : "";
      const help = node.text === "" ? empty : `: write "${node.text}" for the text`;
      return this.wrong(key, node, "text", help);
    }
    const { maxBytes = MAX_TEXT_BYTES } = options;
    if (node.text === "" && options.empty !== true) {
      return this.refuse("BAD_VALUE", key, "must not be empty", node);
    }
    if (Buffer.byteLength(node.text) > maxBytes) {
      return this.refuse("TOO_LARGE", key, `is longer than ${maxBytes} bytes`, node);
    }
    // The operating system ends every argument and path at this character.
    if (node.text.includes("\0")) {
      return this.refuse("BAD_VALUE", key, "must not contain the character NUL", node);
    }
    return { text: node.text, node };
  }

  /** A list of texts; with `single`, one text stands for a list of one. */
  texts(key: string, options: TextsOptions): Text[] | undefined {
    const node = this.value(key);
    if (!node) return undefined;
    if (node.kind === "scalar" && options.single) {
      if (resolveScalar(node).type === "null" && node.text === "") {
        const help = ": leave the key out if there are none";
        return this.wrong(key, node, "text or a list of texts", help);
      }
      const one = this.textOf(key, node, options);
      return one && [one];
    }
    if (node.kind !== "sequence") {
      const expected = options.single ? "text or a list of texts" : "a list of texts";
      return this.wrong(key, node, expected, options.single && this.#listHelp(key, node));
    }
    if (node.items.length > options.max) {
      return this.refuse("TOO_LARGE", key, `has more than ${options.max} entries`, node);
    }
    const items = node.items.map((item) => this.textOf(key, item, options));
    return items.includes(undefined) ? undefined : (items as Text[]);
  }

  #listHelp(key: string, node: YamlNode): string {
    if (node.kind !== "mapping") return "";
    return this.report.foreign(`: write ${key}: ${listOfKeys(node)}`);
  }

  // #region boolean
  boolean(key: string): boolean | undefined {
    const node = this.value(key);
    if (!node) return undefined;
    const resolved = node.kind === "scalar" ? resolveScalar(node) : undefined;
    if (resolved?.type === "boolean") return resolved.value;
    return this.wrong(key, node, "true or false", booleanHelp(node));
  }
  // #endregion

  number(key: string, options: { min: number; max: number; whole: boolean }): number | undefined {
    const node = this.value(key);
    if (!node) return undefined;
    const value = this.#numberOf(key, node, options.whole ? "a whole number" : "a number");
    if (value === undefined) return undefined;
    if (options.whole && !Number.isInteger(value)) return this.wrong(key, node, "a whole number");
    if (value >= options.min && value <= options.max) return value;
    const what = `must be ${options.min} to ${options.max}, found ${value}`;
    return this.refuse("OUT_OF_RANGE", key, what, node);
  }

  #numberOf(key: string, node: YamlNode, expected: string): number | undefined {
    if (node.kind !== "scalar") return this.wrong(key, node, expected);
    const resolved = resolveScalar(node);
    if (resolved.type === "number") return resolved.value;
    if (resolved.type === "ambiguous") {
      return this.refuse("WRONG_TYPE", key, `must be ${expected}: ${resolved.why}`, node);
    }
    const bare = resolveScalar({ text: node.text, style: "plain" });
    const quoted = node.style !== "plain" && bare.type === "number";
    return this.wrong(key, node, expected, quoted ? ": remove the quotes" : "");
  }

  /** Whole milliseconds, 0 to MAX_DURATION_MS. */
  duration(key: string): number | undefined {
    const node = this.value(key);
    if (!node) return undefined;
    const expected = "a duration such as 90s, 10m, 1h30m or 500ms, or a number of seconds";
    const resolved = node.kind === "scalar" ? resolveScalar(node) : undefined;
    let ms: number | string | undefined;
    if (resolved?.type === "text" && resolved.boolean === undefined) {
      ms = parseDuration(resolved.value);
    } else {
      const seconds = this.#numberOf(key, node, expected);
      ms = seconds === undefined ? undefined : secondsToMs(seconds);
    }
    if (ms === undefined) return undefined;
    if (typeof ms === "string") {
      const help = node.kind === "scalar" ? durationHelp(node.text) : "";
      return this.refuse("BAD_VALUE", key, `${ms}, found ${describe(node)}${help}`, node);
    }
    if (ms <= MAX_DURATION_MS) return ms;
    return this.refuse("OUT_OF_RANGE", key, `must be at most 24d, found ${describe(node)}`, node);
  }

  /** `help`: the line for another tool's word. Without it, the nearest value is suggested. */
  oneOf<T extends string>(key: string, values: readonly T[], help = ""): T | undefined {
    const node = this.value(key);
    if (!node) return undefined;
    const text = node.kind === "scalar" ? node.text : "";
    if ((values as readonly string[]).includes(text)) return text as T;
    return this.wrong(key, node, values.join(" or "), help || hint(text, values));
  }

  /** The fields of a map inside this one. */
  map(
    key: "retry" | "healthcheck" | "restart" | "hitl" | "notify" | "agent" | "budget",
    known: readonly string[],
    help?: (node: YamlNode) => string,
  ): Fields | undefined {
    const node = this.value(key);
    if (!node) return undefined;
    if (node.kind !== "mapping") {
      return this.wrong(key, node, `a map with ${known.join(", ")}`, help?.(node));
    }
    const scope = ` in "${key}"${this.scope}`;
    return new Fields(this.report, node, { known, scope, ...(key === "retry" && { level: key }) });
  }
}

/** `PT10M` of ISO 8601, `2 hours`, `10 min`, as durations are written here. */
function durationHelp(text: string): string {
  const iso = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/i.exec(text);
  const [days, hours, minutes, seconds] = iso?.slice(1) ?? [];
  const parts = [
    [days, "d"],
    [hours, "h"],
    [minutes, "m"],
    [seconds, "s"],
  ];
  const given = parts.filter(([amount]) => amount !== undefined);
  if (given.length > 0) return `: write ${given.flat().join("")}`;
  const words = /^(\d+(?:\.\d+)?)\s*(d|h|m|s|ms)[a-z]*\.?$/i.exec(text);
  return words ? `: write ${words[1]}${unitOf(text)}` : "";
}

function unitOf(text: string): string {
  const word = text.replace(/[^a-z]/gi, "").toLowerCase();
  return word === "ms" || word.startsWith("milli") ? "ms" : word.slice(0, 1);
}

/** The advice for a scalar where a boolean was wanted. */
export function booleanHelp(node: YamlNode): string {
  if (node.kind !== "scalar") return "";
  const resolved = resolveScalar(node);
  if (resolved.type !== "text") return "";
  if (resolved.boolean !== undefined) {
    const { boolean } = resolved;
    const readers = `(YAML 1.1 readers take ${node.text} as ${boolean}, 1.2 readers as text)`;
    return `: write ${boolean} ${readers}`;
  }
  return node.style !== "plain" && /^(?:true|false)$/.test(node.text) ? ": remove the quotes" : "";
}
