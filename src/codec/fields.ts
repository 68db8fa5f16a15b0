/**
 * The two loops at the heart of the codec: an object's fields to bytes, and back.
 *
 * Test: test/02-codec.test.ts
 */
import { invariant } from "#base";
import type { Reader } from "./reader.ts";
import { type Presence, show, type Type } from "./types.ts";
import type { Writer } from "./writer.ts";

/** A key must stay a small integer after `<< 3`, and nobody declares field number 100,000. */
export const MAX_FIELD_NUMBER = 65_535;
const MAX_KEY = (MAX_FIELD_NUMBER << 3) | 7;

/** The end of the fields. Without it, a message cut off between two fields would be a message. */
const END = 0;

/** `name: [number, type]`. The number is the field's identity for ever, the name is for people. */
export interface Fields {
  readonly [name: string]: readonly [number: number, type: Type<any, any>];
}

export type Row = Record<string, unknown>;

/** Everything that the two loops need, side by side: no lookups while they run. */
export interface Field {
  readonly name: string;
  /** "Hello.name" */
  readonly where: string;
  readonly number: number;
  /** `number << 3 | wire type`: the key in front of the value. */
  readonly key: number;
  readonly presence: Presence;
  readonly write: (to: Writer, value: unknown) => void;
  readonly read: (from: Reader) => unknown;
  readonly absent: () => unknown;
  readonly isEmpty: (value: unknown) => boolean;
}

/** Checks a declaration, and puts its fields in the order in which they travel. */
export function prepare(message: string, fields: Fields): Field[] {
  const seen = new Set<number>();
  const ready = Object.entries(fields).map(([name, [number, type]]): Field => {
    const where = `${message}.${name}`;
    // `{}.constructor` is not undefined: a field of that name would never be absent. (And
    // `__proto__` cannot be assigned.)
    invariant(!(name in Object.prototype), `${where}: every object has that name already`);
    checkNumber(number, where);
    invariant(!seen.has(number), `${where} does not share number ${number}`);
    seen.add(number);
    const key = (number << 3) | type.wire;
    const { presence, write, read, absent, isEmpty } = type;
    return { name, where, number, key, presence, write, read, absent, isEmpty };
  });
  return ready.sort((a, b) => a.number - b.number);
}

export function checkNumber(number: number, where: string): void {
  const ok = Number.isInteger(number) && number >= 1 && number <= MAX_FIELD_NUMBER;
  invariant(ok, `${where} has a number from 1 to ${MAX_FIELD_NUMBER}`);
}

export function fieldsWriter(fields: readonly Field[]): (to: Writer, value: unknown) => void {
  // #region writeFields
  return (to, value) => {
    if (typeof value !== "object" || value === null) {
      to.fail("BAD_VALUE", `${show(value)} is not an object`);
    }
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i]!;
      const item = (value as Row)[field.name];
      to.where = field.where;
      if (item === undefined) {
        if (field.presence === "required") to.fail("MISSING_FIELD", "the value has no such field");
        continue;
      }
      if (field.presence === "empty" && field.isEmpty(item)) continue;
      to.varint(field.key);
      field.write(to, item);
    }
    to.varint(END);
  };
  // #endregion
}

/** `create` makes the object that is filled: see `shapeOf`. */
export function fieldsReader(fields: readonly Field[], create: () => Row): (from: Reader) => Row {
  // #region readFields
  /** Merges two ascending lists: the fields that we know, and the keys that are there. */
  return function readFields(from: Reader): Row {
    // #exercise readFields
    const value = create();
    let key = nextKey(from, END);
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i]!;
      from.where = field.where;
      // A lower number than the one we look for: a field of a newer peer, which we do not have.
      while (key !== END && key >>> 3 < field.number) key = skipField(from, key);
      if (key === field.key) {
        value[field.name] = field.read(from);
        key = nextKey(from, key);
      } else if (key >>> 3 === field.number) {
        from.fail("BAD_WIRE_TYPE", `wire type ${key & 7}, declared as ${field.key & 7}`);
      } else if (field.presence === "required") {
        from.fail("MISSING_FIELD", "the message has no such field");
      } else {
        // Assigned even when undefined: every decoded message then has the same hidden class.
        value[field.name] = field.absent();
      }
    }
    while (key !== END) key = skipField(from, key);
    return value;
    // #end-exercise
  };
  // #endregion
}

// #region nextKey
function skipField(from: Reader, key: number): number {
  from.skip(key & 7);
  return nextKey(from, key);
}

/** Keys only go up, so a field cannot come twice, and one pass in order reads every message. */
function nextKey(from: Reader, previous: number): number {
  const key = from.varint();
  // Shifts see 32 bits: a larger key would pass for a smaller one.
  if (key > MAX_KEY) from.fail("BAD_VALUE", `key ${key} exceeds ${MAX_KEY}`);
  if (key !== END && key >>> 3 <= previous >>> 3) {
    from.fail("FIELD_ORDER", `field ${key >>> 3} follows field ${previous >>> 3}`);
  }
  return key;
}
// #endregion

/**
 * An empty constructor of its own for each message. V8 gives each one a family of hidden classes,
 * sized for its fields after a few objects; `{}` would have room for four, and a detour after that.
 * The prototype is Object's, so the results are plain objects.
 */
export function shapeOf(): new () => Row {
  const Shape = function () {} as unknown as new () => Row;
  Shape.prototype = Object.prototype;
  return Shape;
}
