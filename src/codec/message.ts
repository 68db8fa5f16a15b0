/** Messages (named fields) and unions (one message out of several), and the TypeScript types that follow from a declaration. */
import { CodecError, invariant } from "./error.ts";
import { type Infer, type Presence, Type } from "./types.ts";
import { BYTES, Reader, Writer } from "./wire.ts";

/** A key must stay a small integer after `<< 3`; nobody declares field number 100,000. */
export const MAX_FIELD_NUMBER = 65_535;

/** What follows the last field. Without it, a message cut off between two fields would still be a message. */
const END = 0;

/** `name: [number, type]`. The number is the field's identity for ever; the name is only for people. */
export interface Fields {
  readonly [name: string]: readonly [number: number, type: Type<any, any>];
}

type Flat<T> = { [K in keyof T]: T[K] };
type OptionalNames<F extends Fields> = {
  [K in keyof F]: F[K][1]["presence"] extends "optional" ? K : never;
}[keyof F];

/** The object type that `fields` describe. */
export type InferFields<F extends Fields> = Flat<
  { -readonly [K in Exclude<keyof F, OptionalNames<F>>]: Infer<F[K][1]> } & {
    -readonly [K in OptionalNames<F>]?: Infer<F[K][1]> | undefined;
  }
>;

/** A declared message. It is a type too: use it as a field, an item or a variant. */
export interface Message<T> extends Type<T, "required"> {
  readonly name: string;
  /** @throws {CodecError} naming `message.field` when a value is outside its type, range or limit. */
  encode(value: T): Buffer;
  /** Reads exactly one message. @throws {CodecError} for anything else; nothing is ever read past the end. */
  decode(bytes: Uint8Array): T;
  /** @internal */
  readonly fields: readonly Field[];
}

/** A declared union: the variant's fields beside a `type` that names it. */
export interface Union<T> extends Type<T, "required"> {
  readonly name: string;
  encode(value: T): Buffer;
  /** @throws {CodecError} `UNKNOWN_VARIANT` when a newer peer sends a variant this side does not know. */
  decode(bytes: Uint8Array): T;
}

type Row = Record<string, unknown>;

/** Everything the two loops below need, side by side: no lookups while they run. */
interface Field {
  readonly name: string;
  /** "Hello.name" */
  readonly where: string;
  readonly key: number;
  readonly presence: Presence;
  readonly write: (to: Writer, value: unknown) => void;
  readonly read: (from: Reader) => unknown;
  readonly absent: () => unknown;
}

// One of each for the process: encoding and decoding never wait, and decoding runs no foreign code.
// Encoding can (a getter), so `encodeWith` treats the writer as a stack.
const writer = new Writer();
const reader = new Reader();

function encodeWith<T>(write: (to: Writer, value: T) => void, value: T, name: string): Buffer {
  const start = writer.length;
  writer.where = name;
  let done = false;
  try {
    write(writer, value);
    done = true;
  } finally {
    if (!done) writer.rewind(start);
  }
  return writer.take(start);
}

function decodeWith<T>(read: (from: Reader) => T, bytes: Uint8Array, name: string): T {
  reader.reset(bytes);
  reader.where = name;
  try {
    const value = read(reader);
    if (reader.pos !== reader.end) {
      reader.where = name;
      reader.fail("TRAILING", `${reader.end - reader.pos} bytes left over`);
    }
    return value;
  } finally {
    reader.release();
  }
}

// #region writeFields
function writeFields(fields: readonly Field[], to: Writer, value: Row): void {
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]!;
    const item = value[field.name];
    to.where = field.where;
    if (item === undefined) {
      if (field.presence === "required") to.fail("MISSING_FIELD", "the value has no such field");
      continue;
    }
    if (field.presence === "empty" && isEmpty(item)) continue;
    to.varint(field.key);
    field.write(to, item);
  }
  to.varint(END);
}
// #endregion

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value !== "object" || value === null) return false;
  for (const key in value) if (Object.hasOwn(value, key)) return false;
  return true;
}

// #region readFields
/** Merges two ascending lists: the fields that we know, and the keys that are there. */
function readFields(fields: readonly Field[], from: Reader, into: Row): void {
  let key = from.varint();
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]!;
    from.where = field.where;
    // A lower number than the one we are looking for: a field that somebody newer has, and we do not.
    while (key !== END && key >>> 3 < field.key >>> 3) key = skipField(from, key);
    if (key === field.key) {
      into[field.name] = field.read(from);
      key = nextKey(from, key);
    } else if (key !== END && key >>> 3 === field.key >>> 3) {
      from.fail("BAD_WIRE_TYPE", `wire type ${key & 7}, declared as ${field.key & 7}`);
    } else if (field.presence === "required") {
      from.fail("MISSING_FIELD", "the message has no such field");
    } else {
      // Assigned even when undefined: every decoded message then has the same hidden class.
      into[field.name] = field.absent();
    }
  }
  while (key !== END) key = skipField(from, key);
}

function skipField(from: Reader, key: number): number {
  from.skip(key & 7);
  return nextKey(from, key);
}

/** Keys only go up, so a field cannot come twice, and one pass in order reads every message. */
function nextKey(from: Reader, previous: number): number {
  const key = from.varint();
  if (key !== END && key >>> 3 <= previous >>> 3) {
    from.fail("FIELD_ORDER", `field ${key >>> 3} follows field ${previous >>> 3}`);
  }
  return key;
}
// #endregion

/**
 * An empty constructor of its own for each message. V8 gives each one a family of hidden classes,
 * sized for its fields after a few objects; `{}` would have room for four, and a detour after that.
 * The prototype is Object's: what it makes are plain objects.
 */
function shapeOf(): new () => Row {
  const Shape = function () {} as unknown as new () => Row;
  Shape.prototype = Object.prototype;
  return Shape;
}

function prepare(message: string, fields: Fields): Field[] {
  const seen = new Set<number>();
  const ready = Object.entries(fields).map(([name, [number, type]]): Field => {
    const where = `${message}.${name}`;
    invariant(name !== "__proto__", `${where}: that name cannot be assigned`);
    invariant(Number.isInteger(number) && number >= 1 && number <= MAX_FIELD_NUMBER, `${where} has a number from 1 to ${MAX_FIELD_NUMBER}`);
    invariant(!seen.has(number), `${where} does not share number ${number}`);
    seen.add(number);
    const { presence, write, read, absent } = type;
    return { name, where, key: (number << 3) | type.wire, presence, write, read, absent };
  });
  return ready.sort((a, b) => a.key - b.key);
}

function depthOf(types: Iterable<readonly [number, Type<any, any>]>): number {
  let depth = 0;
  for (const [, type] of types) depth = Math.max(depth, type.depth);
  return depth + 1;
}

/**
 * Declares a message. Fields travel in ascending order of number, each as `key, value` with
 * `key = number << 3 | wire type`, and a zero byte ends them.
 *
 * @example
 * ```ts
 * import { message, optional, string, u32 } from "#codec";
 * const Point = message("Point", { x: [1, u32()], y: [2, u32()], label: [3, optional(string())] });
 * Point.encode({ x: 3, y: 4 }).toString("hex") // => '0803100400'
 * Point.decode(Point.encode({ x: 3, y: 4, label: "here" })) // => { x: 3, y: 4, label: 'here' }
 * ```
 */
export function message<const F extends Fields>(name: string, fields: F): Message<InferFields<F>> {
  type T = InferFields<F>;
  const ready = prepare(name, fields);
  const Shape = shapeOf();
  const write = (to: Writer, value: T): void => {
    if (typeof value !== "object" || value === null) to.fail("BAD_VALUE", `${value} is not an object`);
    writeFields(ready, to, value as Row);
  };
  const read = (from: Reader): T => {
    const value = new Shape();
    readFields(ready, from, value);
    return value as T;
  };
  return Object.assign(nested(write, read, depthOf(Object.values(fields))), {
    name,
    fields: ready,
    encode: (value: T) => encodeWith(write, value, name),
    decode: (bytes: Uint8Array) => decodeWith(read, bytes, name),
  });
}

/** Inside another message, a length goes in front, so that readers who do not know the field can skip it. */
function nested<T>(write: (to: Writer, value: T) => void, read: (from: Reader) => T, depth: number): Type<T, "required"> {
  return new Type<T, "required">({
    wire: BYTES,
    presence: "required",
    depth,
    write(to, value) {
      const opened = to.open();
      write(to, value);
      to.close(opened);
    },
    read(from) {
      const outer = from.enter();
      const value = read(from);
      from.leave(outer);
      return value;
    },
  });
}

/** `Name: [tag, message]`. */
export interface Variants {
  readonly [name: string]: readonly [tag: number, message: Message<any>];
}

/** `{ type: "A" } & A | { type: "B" } & B`, flattened. */
export type InferVariants<V extends Variants> = {
  [K in keyof V]: Flat<{ type: K } & Infer<V[K][1]>>;
}[keyof V];

interface Variant {
  readonly type: string;
  readonly tag: number;
  readonly fields: readonly Field[];
  readonly Shape: new () => Row;
}

/**
 * Declares a union: the variant's tag as a varint, then its fields.
 *
 * @example
 * ```ts
 * import { message, u32, union } from "#codec";
 * const Shape = union("Shape", {
 *   Circle: [1, message("Circle", { radius: [1, u32()] })],
 *   Square: [2, message("Square", { side: [1, u32()] })],
 * });
 * Shape.decode(Shape.encode({ type: "Square", side: 5 })) // => { type: 'Square', side: 5 }
 * ```
 */
export function union<const V extends Variants>(name: string, variants: V): Union<InferVariants<V>> {
  type T = InferVariants<V>;
  const byName = new Map<unknown, Variant>();
  const byTag = new Map<number, Variant>();
  for (const [type, [tag, { fields }]] of Object.entries(variants)) {
    invariant(Number.isInteger(tag) && tag >= 1 && tag <= MAX_FIELD_NUMBER, `${name}.${type} has a tag from 1 to ${MAX_FIELD_NUMBER}`);
    invariant(!byTag.has(tag), `${name}.${type} does not share tag ${tag}`);
    invariant(!fields.some((field) => field.name === "type"), `${name}.${type} has no field "type": that is the variant's name`);
    const variant = { type, tag, fields, Shape: shapeOf() };
    byName.set(type, variant);
    byTag.set(tag, variant);
  }
  const write = (to: Writer, value: T): void => {
    const variant = byName.get((value as Row | null)?.["type"]);
    if (variant === undefined) throw new CodecError("UNKNOWN_VARIANT", `Cannot encode ${name}: it has no such variant: ${String((value as Row | null)?.["type"])}`);
    to.varint(variant.tag);
    writeFields(variant.fields, to, value as Row);
  };
  const read = (from: Reader): T => {
    const tag = from.varint();
    const variant = byTag.get(tag);
    if (variant === undefined) throw new CodecError("UNKNOWN_VARIANT", `Cannot decode ${name}: it has no variant ${tag}`);
    const value = new variant.Shape();
    value["type"] = variant.type;
    readFields(variant.fields, from, value);
    return value as T;
  };
  return Object.assign(nested(write, read, depthOf(Object.values(variants))), {
    name,
    encode: (value: T) => encodeWith(write, value, name),
    decode: (bytes: Uint8Array) => decodeWith(read, bytes, name),
  });
}
