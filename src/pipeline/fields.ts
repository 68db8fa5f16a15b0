/**
 * Lesson 17: reading the fields of a map, each as what it should be.
 *
 * The tree keeps source text, so the *field* decides what a scalar means: `3` in `priority` is a
 * number, in `env` it is the text "3", and `no` is text everywhere, or an error where a boolean
 * was wanted. No value is converted twice.
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
import type { Report } from "./problems.ts";

const SHOWN_CHARS = 40;

/** What a person would call the thing that stands there. */
export function describe(node: YamlNode): string {
  if (node.kind === "sequence") return "a list";
  if (node.kind === "mapping") return "a map";
  const resolved = resolveScalar(node);
  if (resolved.type === "null") return "nothing";
  if (resolved.type === "number" || resolved.type === "boolean") return `the ${resolved.type} ${clip(node.text)}`;
  return `the text ${JSON.stringify(clip(node.text))}`;
}

export function clip(text: string): string {
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}

export interface Text {
  readonly text: string;
  readonly node: ScalarNode;
}

export interface FieldsOptions {
  readonly known: readonly string[];
  /** ` in job "train"`, for messages. */
  readonly scope: string;
  /** Where these fields are, for advice about keys of other tools. */
  readonly level?: "pipeline" | "job" | "retry";
}

export class Fields {
  readonly report: Report;
  readonly node: MappingNode;
  /** ` in job "train"`, for messages. */
  readonly scope: string;
  /** Titan's keys that unknown ones stand for: their absence is no second mistake. */
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
    // After all keys are known: what to write instead depends on what is there already.
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

  /** `first` or its other name, whichever is there; both are one too many. */
  either(first: string, second: string): string {
    if (this.has(first) && this.has(second)) {
      this.report.problem("CONFLICT", this.keyNode(second), `"${second}"${this.scope} is another name for "${first}": give one of them`);
    }
    return this.has(first) ? first : second;
  }

  wrong(key: string, node: YamlNode, expected: string, help?: string | false): undefined {
    const found = `must be ${expected}, found ${describe(node)}${help || ""}`;
    return this.report.problem("WRONG_TYPE", node, `"${key}"${this.scope} ${found}`);
  }

  /** Text exactly as it was written: `1.0` stays "1.0". */
  text(key: string, options: { maxBytes?: number; empty?: boolean } = {}): string | undefined {
    const node = this.value(key);
    return node && this.textOf(key, node, options)?.text;
  }

  textOf(key: string, node: YamlNode, options: { maxBytes?: number; empty?: boolean } = {}): Text | undefined {
    if (node.kind !== "scalar") return this.wrong(key, node, "text");
    if (resolveScalar(node).type === "null") {
      const help = node.text !== "" ? `: write "${node.text}" for the text` : options.empty ? ': write "" for an empty text' : "";
      return this.wrong(key, node, "text", help);
    }
    const { maxBytes = MAX_TEXT_BYTES } = options;
    if (node.text === "" && options.empty !== true) return this.report.problem("BAD_VALUE", node, `"${key}"${this.scope} must not be empty`);
    if (Buffer.byteLength(node.text) > maxBytes) return this.report.problem("TOO_LARGE", node, `"${key}"${this.scope} is longer than ${maxBytes} bytes`);
    // The operating system ends every argument and path at this character.
    if (node.text.includes("\0")) return this.report.problem("BAD_VALUE", node, `"${key}"${this.scope} must not contain the character NUL`);
    return { text: node.text, node };
  }

  /** A list of texts; with `single`, one text stands for a list of one. */
  texts(key: string, options: { max: number; single?: boolean; empty?: boolean; maxBytes?: number }): Text[] | undefined {
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
    if (node.items.length > options.max) return this.report.problem("TOO_LARGE", node, `"${key}"${this.scope} has more than ${options.max} entries`);
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
    return resolved?.type === "boolean" ? resolved.value : this.wrong(key, node, "true or false", booleanHelp(node));
  }
  // #endregion

  number(key: string, options: { min: number; max: number; whole: boolean }): number | undefined {
    const node = this.value(key);
    if (!node) return undefined;
    const value = this.#numberOf(key, node, options.whole ? "a whole number" : "a number");
    if (value === undefined) return undefined;
    if (options.whole && !Number.isInteger(value)) return this.wrong(key, node, "a whole number");
    if (value >= options.min && value <= options.max) return value;
    return this.report.problem("OUT_OF_RANGE", node, `"${key}"${this.scope} must be ${options.min} to ${options.max}, found ${value}`);
  }

  #numberOf(key: string, node: YamlNode, expected: string): number | undefined {
    if (node.kind !== "scalar") return this.wrong(key, node, expected);
    const resolved = resolveScalar(node);
    if (resolved.type === "number") return resolved.value;
    if (resolved.type === "ambiguous") return this.report.problem("WRONG_TYPE", node, `"${key}"${this.scope} must be ${expected}: ${resolved.why}`);
    const quoted = node.style !== "plain" && resolveScalar({ text: node.text, style: "plain" }).type === "number";
    return this.wrong(key, node, expected, quoted ? ": remove the quotes" : "");
  }

  /** Whole milliseconds, 0 to MAX_DURATION_MS. */
  duration(key: string): number | undefined {
    const node = this.value(key);
    if (!node) return undefined;
    const expected = "a duration such as 90s, 10m, 1h30m or 500ms, or a number of seconds";
    const resolved = node.kind === "scalar" ? resolveScalar(node) : undefined;
    let ms: number | string | undefined;
    if (resolved?.type === "text" && resolved.boolean === undefined) ms = parseDuration(resolved.value);
    else {
      const seconds = this.#numberOf(key, node, expected);
      ms = seconds === undefined ? undefined : secondsToMs(seconds);
    }
    if (ms === undefined) return undefined;
    if (typeof ms === "string") {
      const help = node.kind === "scalar" ? durationHelp(node.text) : "";
      const found = `${ms}, found ${describe(node)}${help}`;
      return this.report.problem("BAD_VALUE", node, `"${key}"${this.scope} ${found}`);
    }
    if (ms > MAX_DURATION_MS) return this.report.problem("OUT_OF_RANGE", node, `"${key}"${this.scope} must be at most 24d, found ${describe(node)}`);
    return ms;
  }

  /** `help`: what to write for another tool's word; without it, the nearest value is suggested. */
  oneOf<T extends string>(key: string, values: readonly T[], help = ""): T | undefined {
    const node = this.value(key);
    if (!node) return undefined;
    const text = node.kind === "scalar" ? node.text : "";
    if ((values as readonly string[]).includes(text)) return text as T;
    return this.wrong(key, node, values.join(" or "), help || hint(text, values));
  }

  /** The fields of a map inside this one. */
  map(
    key: "retry", known: readonly string[], help?: (node: YamlNode) => string,
  ): Fields | undefined {
    const node = this.value(key);
    if (!node) return undefined;
    if (node.kind !== "mapping") {
      return this.wrong(key, node, `a map with ${known.join(", ")}`, help?.(node));
    }
    return new Fields(this.report, node, { known, scope: ` in "${key}"${this.scope}`, level: key });
  }
}

/** `PT10M` of ISO 8601, `2 hours`, `10 min`, as durations are written here. */
function durationHelp(text: string): string {
  const iso = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/i.exec(text);
  const [days, hours, minutes, seconds] = iso?.slice(1) ?? [];
  const parts = [[days, "d"], [hours, "h"], [minutes, "m"], [seconds, "s"]];
  const given = parts.filter(([amount]) => amount !== undefined);
  if (given.length > 0) return `: write ${given.flat().join("")}`;
  const words = /^(\d+(?:\.\d+)?)\s*(d|h|m|s|ms)[a-z]*\.?$/i.exec(text);
  return words ? `: write ${words[1]}${unitOf(text)}` : "";
}

function unitOf(text: string): string {
  const word = text.replace(/[^a-z]/gi, "").toLowerCase();
  return word === "ms" || word.startsWith("milli") ? "ms" : word.slice(0, 1);
}

/** The one word that shows why this reader does not guess. */
export function booleanHelp(node: YamlNode): string {
  if (node.kind !== "scalar") return "";
  const resolved = resolveScalar(node);
  if (resolved.type !== "text") return "";
  if (resolved.boolean !== undefined) {
    return `: write ${resolved.boolean} (YAML 1.1 readers take ${node.text} as ${resolved.boolean}, 1.2 readers as text)`;
  }
  return node.style !== "plain" && /^(?:true|false)$/.test(node.text) ? ": remove the quotes" : "";
}
