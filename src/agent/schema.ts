/**
 * Lesson 18: what a tool takes: a JSON Schema, and the check of what a model wrote against it.
 *
 *     {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
 *     {"path": 3}    ─▶  "path" must be a string, found 3
 *     {"file": "a"}  ─▶  "path" is missing
 *
 * The provider shows the schema to the model; the model mostly keeps to it, and nobody promises
 * that. So arguments are checked here, like bytes of any peer, and a mistake goes back to the model
 * in words.
 *
 * Invariants: a schema with a word that is not enforced here is refused when the tool is defined;
 * an argument that is not named is refused, unless `additionalProperties: true`.
 * Left out: `$ref`, `oneOf`, `pattern` and the rest. A pattern of the model's could take for ever.
 * Test: test/18-agents.test.ts
 */
import { hint } from "#base";

const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"] as const;
type TypeName = (typeof TYPES)[number];

/** A subset of JSON Schema. */
export interface Schema {
  readonly type: TypeName;
  readonly description?: string;
  readonly enum?: readonly (string | number | boolean | null)[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

const WORDS = [
  "type", "description", "enum", "properties", "required", "additionalProperties", "items",
  "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum",
];

/** What is wrong with a schema as its author wrote it. Undefined: nothing. */
export function schemaProblem(schema: Schema, at = ""): string | undefined {
  const where = at === "" ? "the schema" : `"${at}"`;
  if (typeof schema !== "object" || schema === null) return `${where} is no object`;
  const unknown = Object.keys(schema).find((word) => !WORDS.includes(word));
  if (unknown !== undefined) {
    return `${where} has "${unknown}", which is not checked here${hint(unknown, WORDS)}`;
  }
  if (!TYPES.includes(schema.type)) return `${where} has no type of ${TYPES.join(", ")}`;
  const { properties = {}, required = [], items } = schema;
  const absent = required.find((name) => !Object.hasOwn(properties, name));
  if (absent !== undefined) return `${where} requires "${absent}" and does not describe it`;
  for (const [name, property] of Object.entries(properties)) {
    const problem = schemaProblem(property, inside(at, name));
    if (problem !== undefined) return problem;
  }
  return items === undefined ? undefined : schemaProblem(items, `${at}[]`);
}

// #region check
/**
 * What is wrong with a value, as one of these says it (`outside` has the words of the second, which
 * is for lengths, too). Undefined: it fits.
 *
 *     "n" must be a number, found "x"                      "n" must be one of a, b, found "x"
 *     "n" is 0, and must be at least 1
 *     "dir.path" is missing                                without a name: the value must be …
 *     "pth" is not known (did you mean "path"?): there is path
 */
export function misfit(schema: Schema, value: unknown, at = ""): string | undefined {
  // #exercise misfit
  const name = at === "" ? "the value" : `"${at}"`;
  if (!isOfType(schema.type, value)) {
    return `${name} must be ${article(schema.type)}, found ${found(value)}`;
  }
  if (schema.enum !== undefined && !schema.enum.includes(value as string)) {
    return `${name} must be one of ${schema.enum.join(", ")}, found ${found(value)}`;
  }
  if (typeof value === "number") return outside(name, "is", value, schema.minimum, schema.maximum);
  if (typeof value === "string") {
    return outside(name, "has a length of", [...value].length, schema.minLength, schema.maxLength);
  }
  if (Array.isArray(value)) {
    const { items, minItems, maxItems } = schema;
    const count = outside(name, "has a length of", value.length, minItems, maxItems);
    if (count !== undefined || items === undefined) return count;
    return first(value, (item, index) => misfit(items, item, `${at}[${index}]`));
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { properties = {}, required = [] } = schema;
  const missing = required.find((key) => !Object.hasOwn(value, key));
  if (missing !== undefined) return `"${inside(at, missing)}" is missing`;
  return first(Object.entries(value), ([key, held]) => {
    if (Object.hasOwn(properties, key)) return misfit(properties[key]!, held, inside(at, key));
    if (schema.additionalProperties === true) return undefined;
    const known = Object.keys(properties);
    return `"${inside(at, key)}" is not known${hint(key, known)}: there is ${list(known)}`;
  });
  // #end-exercise
}
// #endregion

function isOfType(type: TypeName, value: unknown): boolean {
  switch (type) {
    case "object": return typeof value === "object" && value !== null && !Array.isArray(value);
    case "array": return Array.isArray(value);
    case "integer": return Number.isInteger(value);
    case "null": return value === null;
    default: return typeof value === type;
  }
}

function outside(
  name: string, verb: string, size: number, low = -Infinity, high = Infinity,
): string | undefined {
  if (size >= low && size <= high) return undefined;
  const bound = size < low ? `at least ${low}` : `at most ${high}`;
  return `${name} ${verb} ${size}, and must be ${bound}`;
}

function first<T>(
  items: readonly T[], check: (item: T, index: number) => string | undefined,
): string | undefined {
  for (const [index, item] of items.entries()) {
    const problem = check(item, index);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

const inside = (at: string, name: string): string => (at === "" ? name : `${at}.${name}`);
const article = (word: string): string => (/^[aeiou]/.test(word) ? `an ${word}` : `a ${word}`);
const list = (names: readonly string[]): string => (names.length === 0 ? "none" : names.join(", "));

function found(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
