/**
 * Messages (named fields), unions (one message out of several), and the TypeScript types that
 * follow.
 *
 * Test: test/02-codec.test.ts
 */
import { invariant } from "#base";
import { CodecError } from "./error.ts";
import { checkNumber, type Field, type Fields, type Row } from "./fields.ts";
import { fieldsReader, fieldsWriter, prepare, shapeOf } from "./fields.ts";
import { Reader } from "./reader.ts";
import { type Infer, show, Type } from "./types.ts";
import { BYTES } from "./wire.ts";
import { Writer } from "./writer.ts";

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
  /** @throws {CodecError} names `message.field` when a value breaks its type, range or limit. */
  encode(value: T): Buffer;
  /** Reads exactly one message, and never past its end. @throws {CodecError} for anything else. */
  decode(bytes: Uint8Array): T;
  /** @internal */
  readonly fields: readonly Field[];
}

/** A declared union: the variant's fields beside a `type` that names it. */
export interface Union<T> extends Type<T, "required"> {
  readonly name: string;
  encode(value: T): Buffer;
  /** @throws {CodecError} `UNKNOWN_VARIANT` for a newer peer's variant that we do not know. */
  decode(bytes: Uint8Array): T;
}

// One of each for the process: encoding and decoding never wait, and decoding runs no foreign code.
// Encoding can (a getter), so `encode` treats the writer as a stack.
const writer = new Writer();
const reader = new Reader();

/** How a message or union is written and read when nothing is around it. */
interface Body<T> {
  readonly name: string;
  readonly depth: number;
  readonly write: (to: Writer, value: T) => void;
  readonly read: (from: Reader) => T;
}

function encode<T>(body: Body<T>, value: T): Buffer {
  const start = writer.length;
  writer.where = body.name;
  let done = false;
  try {
    body.write(writer, value);
    done = true;
  } finally {
    if (!done) writer.rewind(start);
  }
  return writer.take(start);
}

function decode<T>(body: Body<T>, bytes: Uint8Array): T {
  reader.reset(bytes);
  reader.where = body.name;
  try {
    const value = body.read(reader);
    if (reader.pos !== reader.end) {
      reader.where = body.name;
      reader.fail("TRAILING", `${reader.end - reader.pos} bytes left over`);
    }
    return value;
  } finally {
    reader.release();
  }
}

/** Inside another message: a length goes in front, so that readers can skip an unknown field. */
function nested<T>(body: Body<T>): Type<T, "required"> {
  return new Type<T, "required">({
    wire: BYTES,
    presence: "required",
    depth: body.depth,
    write(to, value) {
      const opened = to.open();
      body.write(to, value);
      to.close(opened);
    },
    read(from) {
      const outer = from.enter();
      const value = body.read(from);
      from.leave(outer);
      return value;
    },
  });
}

function depthOf(parts: Iterable<readonly [number, Type<any, any>]>): number {
  let depth = 0;
  for (const [, type] of parts) depth = Math.max(depth, type.depth);
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
  const body: Body<T> = {
    name,
    depth: depthOf(Object.values(fields)),
    write: fieldsWriter(ready),
    read: fieldsReader(ready, () => new Shape()) as (from: Reader) => T,
  };
  return Object.assign(nested(body), {
    name,
    fields: ready,
    encode: (value: T) => encode(body, value),
    decode: (bytes: Uint8Array) => decode(body, bytes),
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
  readonly tag: number;
  readonly write: (to: Writer, value: unknown) => void;
  readonly read: (from: Reader) => Row;
}

function prepareVariant(type: string, [tag, { fields }]: Variants[string]): Variant {
  const Shape = shapeOf();
  const create = (): Row => {
    const value = new Shape();
    value["type"] = type; // first in every variant, which suits `switch (event.type)`
    return value;
  };
  return { tag, write: fieldsWriter(fields), read: fieldsReader(fields, create) };
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
export function union<const V extends Variants>(
  name: string,
  variants: V,
): Union<InferVariants<V>> {
  type T = InferVariants<V>;
  const byName = new Map<unknown, Variant>();
  const byTag = new Map<number, Variant>();
  for (const [type, declared] of Object.entries(variants)) {
    const [tag, { fields }] = declared;
    const where = `${name}.${type}`;
    checkNumber(tag, where);
    invariant(!byTag.has(tag), `${where} does not share tag ${tag}`);
    const taken = fields.some((field) => field.name === "type");
    invariant(!taken, `${where} has no field "type": its name goes there`);
    const variant = prepareVariant(type, declared);
    byName.set(type, variant);
    byTag.set(tag, variant);
  }
  const body: Body<T> = {
    name,
    depth: depthOf(Object.values(variants)),
    write(to, value) {
      const type = (value as Row | null | undefined)?.["type"];
      const variant = byName.get(type);
      if (!variant) {
        const what = `Cannot encode ${name}: it has no variant ${show(type)}`;
        throw new CodecError("UNKNOWN_VARIANT", what);
      }
      to.varint(variant.tag);
      variant.write(to, value);
    },
    read(from) {
      const tag = from.varint();
      const variant = byTag.get(tag);
      if (!variant) {
        const what = `Cannot decode ${name}: it has no variant ${tag}`;
        throw new CodecError("UNKNOWN_VARIANT", what);
      }
      return variant.read(from) as T;
    },
  };
  return Object.assign(nested(body), {
    name,
    encode: (value: T) => encode(body, value),
    decode: (bytes: Uint8Array) => decode(body, bytes),
  });
}
