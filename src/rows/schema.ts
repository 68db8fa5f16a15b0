/**
 * Lesson 19: the shapes of answers, bodies and arguments, in the words of JSON Schema, which is
 * what OpenAPI and MCP have.
 *
 * They are written once, beside the rows, and used three times: `openapi.json` and the list of
 * tools are made of them, what comes is compared with them, and a test compares what goes.
 *
 * Test: test/http.test.ts
 */

/** As much of JSON Schema as we say. */
export interface Schema {
  readonly type?: "string" | "integer" | "number" | "boolean" | "object" | "array" | "null";
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly anyOf?: readonly Schema[];
  /** What a value is taken for that is not there. For the reader: nobody here fills it in. */
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
}

/** Anything: a value that a job or a person made. */
export const any: Schema = {};
export const text: Schema = { type: "string" };
export const integer: Schema = { type: "integer" };
export const boolean: Schema = { type: "boolean" };
export const time: Schema = { type: "integer", description: "milliseconds since 1970 UTC" };

export function orNull(schema: Schema): Schema {
  return { anyOf: [schema, { type: "null" }] };
}

export function list(items: Schema): Schema {
  return { type: "array", items };
}

export function oneOf(...words: readonly string[]): Schema {
  return { type: "string", enum: words };
}

/** An object with these fields and no others. The name of one that may be missing ends with "?". */
export function object(fields: Readonly<Record<string, Schema>>): Schema {
  const properties: Record<string, Schema> = {};
  const required: string[] = [];
  for (const [name, schema] of Object.entries(fields)) {
    const isOptional = name.endsWith("?");
    const bare = isOptional ? name.slice(0, -1) : name;
    properties[bare] = schema;
    if (!isOptional) required.push(bare);
  }
  return { type: "object", properties, required, additionalProperties: false };
}

export function mapOf(values: Schema): Schema {
  return { type: "object", additionalProperties: values };
}

/** What is wrong with a value, as `path: why`; undefined: nothing. */
export function mismatch(schema: Schema, value: unknown, path = "$"): string | undefined {
  if (schema.anyOf !== undefined) {
    const found = schema.anyOf.map((each) => mismatch(each, value, path));
    return found.includes(undefined) ? undefined : found[0];
  }
  if (schema.enum !== undefined && !schema.enum.includes(value as string)) {
    return `${path}: must be one of ${schema.enum.join(", ")}`;
  }
  if (schema.type === undefined) return undefined;
  const found = kindOf(value);
  const isFit = found === schema.type || (schema.type === "number" && found === "integer");
  if (!isFit) return `${path}: must be ${schema.type}, found ${found}`;
  if (typeof value === "number" || typeof value === "string") return outside(schema, value, path);
  if (Array.isArray(value)) {
    const { items = any } = schema;
    return firstOf(value.entries(), ([at, item]) => mismatch(items, item, `${path}[${at}]`));
  }
  if (found !== "object") return undefined;
  return wrongField(schema, value as Record<string, unknown>, path);
}

function outside(schema: Schema, value: number | string, path: string): string | undefined {
  const { minimum = -Infinity, maximum = Infinity, minLength = 0 } = schema;
  if (typeof value === "string") {
    return value.length < minLength ? `${path}: must not be empty` : undefined;
  }
  if (value >= minimum && value <= maximum) return undefined;
  return `${path}: must be from ${minimum} to ${maximum}, found ${value}`;
}

function wrongField(
  schema: Schema, value: Readonly<Record<string, unknown>>, path: string,
): string | undefined {
  const { properties = {}, required = [], additionalProperties: others = true } = schema;
  const missing = required.find((name) => value[name] === undefined);
  if (missing !== undefined) return `${path}.${missing}: is missing`;
  return firstOf(Object.entries(value), ([name, item]) => {
    if (item === undefined) return undefined; // as in JSON
    const own = Object.hasOwn(properties, name) ? properties[name] : others;
    const known = Object.keys(properties).join(", ");
    if (own === false) return `${path}.${name}: is not known (${known})`;
    return own === true ? undefined : mismatch(own!, item, `${path}.${name}`);
  });
}

function firstOf<T>(
  items: Iterable<T>, look: (item: T) => string | undefined,
): string | undefined {
  for (const item of items) {
    const found = look(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}
