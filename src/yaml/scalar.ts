/**
 * Lesson 17: the meaning of `no`, `012` and `12:30`.
 *
 * YAML 1.1 (2005, still in many tools) and YAML 1.2 (2009) read the same plain text differently:
 *
 *     text        1.1        1.2 core   here
 *     no, on, y   boolean    string     text, with a note for a field that wants a boolean
 *     012         10         12         refused
 *     0o14        string     12         refused
 *     0b11        3          string     refused
 *     1_000       1000       string     refused
 *     12:30       750        string     refused
 *
 * Invariants: quoted text is text; a number is either exactly what was written or refused.
 * Left out: timestamps (1.1 makes dates; JSON has none, so they stay text), `.inf` and `.nan`.
 * Test: test/17-pipelines.yaml.test.ts
 */
import type { ScalarNode } from "./node.ts";

/** The meaning of a scalar, under the 1.2 core schema where every reader agrees with it. */
export type Resolved =
  | { readonly type: "null" }
  | { readonly type: "boolean"; readonly value: boolean }
  | { readonly type: "number"; readonly value: number }
  /** `boolean`: a word that YAML 1.1 takes for this boolean. */
  | { readonly type: "text"; readonly value: string; readonly boolean?: boolean }
  | { readonly type: "ambiguous"; readonly why: string };

const NULL = /^(?:null|Null|NULL|~|)$/;
const BOOLEAN = /^(?:true|True|TRUE|false|False|FALSE)$/;
const INTEGER = /^[-+]?(?:0|[1-9][0-9]*)$/;
const HEX = /^0x[0-9a-fA-F]+$/;
const FLOAT = /^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;

const BOOLEAN_IN_1_1 = /^(?:y|Y|yes|Yes|YES|on|On|ON|(n|N|no|No|NO|off|Off|OFF))$/;
const LEADING_ZERO = /^[-+]?0[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?$/;
const OTHER_BASE = /^[-+]?0[ob][0-9_]+$|^[-+]0x[0-9a-fA-F_]+$/;
/**
 * One `_` is asked for by name, once. With `(?:_[…_]*)+` the engine could divide a row of n `_`
 * among its turns in 2^n ways, and would try them all.
 */
const UNDERSCORES = /^[-+]?(?:0x)?[0-9][0-9a-fA-F]*_[0-9a-fA-F_]*(?:\.[0-9_]*)?$/;
const BASE_60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
const NOT_FINITE = /^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$/;

/** Nobody writes a longer number, and a pattern should not walk over a megabyte of text. */
const MAX_NUMBER_CHARS = 400;
const ALL_DIGITS = /^[-+0-9.:_]+$/;

/**
 * The meaning of a scalar's text.
 *
 * @example
 * ```ts
 * import { parseYaml, resolveScalar } from "#yaml";
 * resolveScalar(parseYaml("no") as never) // => { type: 'text', value: 'no', boolean: false }
 * resolveScalar(parseYaml("1e3") as never) // => { type: 'number', value: 1000 }
 * ```
 */
// #region resolveScalar
export function resolveScalar(node: Pick<ScalarNode, "text" | "style">): Resolved {
  const { text } = node;
  if (node.style !== "plain") return { type: "text", value: text };
  if (text.length > MAX_NUMBER_CHARS) {
    if (!ALL_DIGITS.test(text)) return { type: "text", value: text };
    return ambiguous(text, "it is too long for a number");
  }
  // #exercise resolveScalar
  if (NULL.test(text)) return { type: "null" };
  if (BOOLEAN.test(text)) return { type: "boolean", value: text[0] === "t" || text[0] === "T" };

  if (INTEGER.test(text) || HEX.test(text)) return exactInteger(text);
  if (FLOAT.test(text)) {
    const value = Number(text);
    if (!Number.isFinite(value)) return ambiguous(text, "it is too large for a number");
    return { type: "number", value: value || 0 };
  }

  // From here on it is no number in every reader. The question is whether it is one in some.
  const word = BOOLEAN_IN_1_1.exec(text);
  if (word) return { type: "text", value: text, boolean: word[1] === undefined };
  if (LEADING_ZERO.test(text)) {
    const withoutZeros = text.replace(/^([-+]?)0+(?=[0-9])/, "$1");
    const disagreement = `YAML 1.1 reads ${inOctal(text)}, YAML 1.2 reads ${Number(text)}`;
    return ambiguous(text, disagreement, withoutZeros);
  }
  if (OTHER_BASE.test(text)) return ambiguous(text, "YAML versions disagree about this notation");
  if (UNDERSCORES.test(text)) {
    const number = text.replaceAll("_", "");
    return ambiguous(text, "YAML 1.1 reads a number, YAML 1.2 text", number);
  }
  if (BASE_60.test(text)) {
    return ambiguous(text, "YAML 1.1 reads a number in base 60, YAML 1.2 text");
  }
  if (NOT_FINITE.test(text)) return ambiguous(text, "JSON has no such number");
  return { type: "text", value: text };
  // #end-exercise
}
// #endregion

function ambiguous(whole: string, disagreement: string, number?: string): Resolved {
  const text = whole.length > 40 ? `${whole.slice(0, 40)}…` : whole;
  const quote = `quote it to mean the text "${text}"`;
  const fix = number === undefined ? quote : `write ${number}, or ${quote}`;
  return { type: "ambiguous", why: `${text} is ambiguous: ${disagreement}; ${fix}` };
}

/**
 * Doubles hold integers exactly up to 2^53. Beyond, an id would silently become its neighbour.
 * (`|| 0` drops the sign of -0.)
 */
function exactInteger(text: string): Resolved {
  const value = Number(text);
  const digits = text.replace(/^[-+]/, "");
  const exact = Number.isFinite(value) && BigInt(digits) === BigInt(Math.abs(value));
  if (!exact) return ambiguous(text, "a number cannot hold it exactly");
  return { type: "number", value: value || 0 };
}

function inOctal(text: string): string {
  const [, sign, digits] = /^([-+]?)0+([0-7]*)$/.exec(text) ?? [];
  if (digits === undefined) return "text";
  return `${sign === "-" ? "-" : ""}${Number.parseInt(digits || "0", 8)}`;
}
