/**
 * The types that a field can have. Each is one `Type`: how to write a value, and how to read it
 * back, limits checked.
 *
 * Test: test/02-codec.test.ts
 */
import { invariant } from "#base";
import { Reader } from "./reader.ts";
import { BYTES, FIXED64, VARINT } from "./wire.ts";
import { Writer } from "./writer.ts";

/** Names, paths, small texts. Anything longer deserves a limit of its own. */
export const MAX_STRING_BYTES = 64 * 1024;
/** As much as a frame can carry. */
export const MAX_BYTES_BYTES = 8 * 1024 * 1024;
/** Real messages nest 3 or 4 deep, and 32 is far from the end of any stack. */
export const MAX_DEPTH = 32;
/** The part of a bad value that an error message shows. */
const SHOWN_CHARS = 40;

/** The meaning of a field's absence, for the reader. */
export type Presence = "required" | "optional" | "empty" | "default";

/**
 * How values of `T` travel. `P` is the meaning of their absence.
 *
 * One class with function fields, not a class per type: a loop over fields then loads `read` from
 * one hidden class, whatever the types are.
 */
export class Type<T, P extends Presence = Presence> {
  readonly wire: number;
  /** 0 for scalars. It is known when the schema is declared, so decoding needs no depth counter. */
  readonly depth: number;
  readonly presence: P;
  readonly write: (to: Writer, value: T) => void;
  readonly read: (from: Reader) => T;
  /** The value of an absent field. Never called for "required". */
  readonly absent: () => T;
  /** Whether a value is the one that absence stands for. Called for "empty" only. */
  readonly isEmpty: (value: unknown) => boolean;

  constructor(parts: {
    wire: number;
    presence: P;
    write: (to: Writer, value: T) => void;
    read: (from: Reader) => T;
    depth?: number;
    absent?: () => T;
    isEmpty?: (value: unknown) => boolean;
  }) {
    this.wire = parts.wire;
    this.depth = parts.depth ?? 0;
    invariant(this.depth <= MAX_DEPTH, `types nest at most ${MAX_DEPTH} deep`);
    this.presence = parts.presence;
    this.write = parts.write;
    this.read = parts.read;
    this.absent = parts.absent ?? (() => undefined as T);
    this.isEmpty = parts.isEmpty ?? (() => false);
  }
}

/** A field or item that must be there. */
export type Required<T> = Type<T, "required">;

/** The TypeScript type of a schema's values. */
export type Infer<S extends { read: (from: never) => unknown }> = ReturnType<S["read"]>;

function required<T>(
  wire: number,
  parts: Pick<Type<T>, "write" | "read"> & { depth?: number },
): Required<T> {
  return new Type<T, "required">({ ...parts, wire, presence: "required" });
}

/** Names the offending value without printing megabytes of it, and without running its toString. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value === "function") return "a function";
  const isText = typeof value === "string";
  const text = isText ? JSON.stringify(value.slice(0, SHOWN_CHARS + 1)) : String(value);
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}

/**
 * Checked when a schema is declared: no length is greater than `undefined`, so a forgotten limit
 * would be no limit.
 */
function checkLimit(max: number): void {
  invariant(Number.isSafeInteger(max) && max >= 0, `a limit is a whole number, not ${max}`);
}

function unsigned(name: string, max: number): Required<number> {
  return required(VARINT, {
    write(to, value) {
      if (!Number.isInteger(value) || value < 0 || value > max) {
        to.fail("BAD_VALUE", `${show(value)} is not a ${name}`);
      }
      to.varint(value);
    },
    read(from) {
      const value = from.varint();
      if (value > max) from.fail("BAD_VALUE", `${value} is not a ${name}`);
      return value;
    },
  });
}

const U32 = unsigned("u32", 2 ** 32 - 1);
const U53 = unsigned("u53", Number.MAX_SAFE_INTEGER);

/** An integer, 0 ≤ n < 2^32. One byte up to 127, five at most. */
export const u32 = (): Required<number> => U32;

/** An integer, 0 ≤ n < 2^53: counters, sizes, milliseconds. One byte up to 127, eight at most. */
export const u53 = (): Required<number> => U53;

/**
 * An integer, -2^53 < n < 2^53. The sign takes the lowest bit of the varint's first byte, and the
 * magnitude the rest. (Doubling the number, as zigzag does, would leave the 53 bits that a double
 * has.)
 */
export const i53 = (): Required<number> => I53;

const I53 = required<number>(VARINT, {
  write(to, value) {
    if (!Number.isSafeInteger(value)) to.fail("BAD_VALUE", `${show(value)} is not an i53`);
    to.signed(value);
  },
  read: (from) => from.signed(),
});

/** A double, eight bytes. NaN is refused: it has 2^53 spellings and is not equal to itself. */
export const f64 = (): Required<number> => F64;

const F64 = required<number>(FIXED64, {
  write(to, value) {
    if (typeof value !== "number" || value !== value) {
      to.fail("BAD_VALUE", `${show(value)} is not a number`);
    }
    to.double(value);
  },
  read(from) {
    const value = from.double();
    if (value !== value) from.fail("BAD_VALUE", "NaN is not a number");
    return value;
  },
});

/** One byte, 0 or 1. */
export const bool = (): Required<boolean> => BOOL;

const BOOL = required<boolean>(VARINT, {
  write(to, value) {
    if (typeof value !== "boolean") to.fail("BAD_VALUE", `${show(value)} is not a boolean`);
    to.varint(value ? 1 : 0);
  },
  read(from) {
    const value = from.varint();
    if (value > 1) from.fail("BAD_VALUE", `${value} is not a boolean`);
    return value === 1;
  },
});

/** At most `maxBytes` of UTF-8. Lone surrogates and invalid UTF-8 are refused, never repaired. */
export function string(maxBytes = MAX_STRING_BYTES): Required<string> {
  checkLimit(maxBytes);
  return required(BYTES, {
    write(to, value) {
      if (typeof value !== "string") to.fail("BAD_VALUE", `${show(value)} is not a string`);
      to.text(value, maxBytes);
    },
    read: (from) => from.text(maxBytes),
  });
}

/**
 * Raw bytes; writing takes any Uint8Array. Reading gives a view of the message's own buffer. A
 * caller that keeps it for long copies it, or keeps the whole message alive.
 */
export function bytes(maxBytes = MAX_BYTES_BYTES): Required<Buffer> {
  checkLimit(maxBytes);
  return required<Buffer>(BYTES, {
    write(to, value) {
      if (!((value as unknown) instanceof Uint8Array)) {
        to.fail("BAD_VALUE", `${show(value)} is not a Uint8Array`);
      }
      if (value.length > maxBytes) to.fail("TOO_LARGE", `${value.length} bytes exceed ${maxBytes}`);
      to.bytes(value);
    },
    read: (from) => from.bytes(maxBytes),
  });
}

/**
 * One of some names; the wire carries its index. Append names, never reorder them: old logs and old
 * peers hold the index.
 */
export function enumOf<const N extends readonly string[]>(...names: N): Required<N[number]> {
  const indexes = new Map<string, number>(names.map((name, index) => [name, index]));
  invariant(names.length > 0 && indexes.size === names.length, "an enum has different names");
  return required<N[number]>(VARINT, {
    write(to: Writer, value) {
      const index = indexes.get(value);
      if (index === undefined) {
        to.fail("BAD_VALUE", `${show(value)} is none of ${names.join(", ")}`);
      }
      to.varint(index);
    },
    read(from: Reader) {
      const index = from.varint();
      const name: N[number] | undefined = names[index];
      if (name === undefined) {
        from.fail("BAD_VALUE", `index ${index} is none of ${names.join(", ")}`);
      }
      return name;
    },
  });
}

/**
 * Up to `maxItems` values of one type. Absent when empty. The wire has no count, only a length in
 * bytes: the reader allocates as items arrive, so a lie costs its sender the bytes.
 */
export function list<T>(item: Required<T>, maxItems: number): Type<T[], "empty"> {
  checkLimit(maxItems);
  const { write, read } = item;
  return new Type<T[], "empty">({
    wire: BYTES,
    presence: "empty",
    depth: item.depth + 1,
    absent: () => [],
    isEmpty: (values) => Array.isArray(values) && values.length === 0,
    write(to, values) {
      if (!Array.isArray(values)) to.fail("BAD_VALUE", `${show(values)} is not an array`);
      if (values.length > maxItems) {
        to.fail("TOO_LARGE", `${values.length} items exceed ${maxItems}`);
      }
      const opened = to.open();
      for (let i = 0; i < values.length; i++) write(to, values[i]!);
      to.close(opened);
    },
    read(from) {
      const outer = from.enter();
      const values: T[] = [];
      while (from.pos < from.end) {
        if (values.length === maxItems) from.fail("TOO_LARGE", `more than ${maxItems} items`);
        values.push(read(from));
      }
      from.leave(outer);
      return values;
    },
  });
}

/**
 * Hands out the items of a list that was read as `bytes`, which travel alike. For a list that may
 * be more than there is room for: an item that is not kept costs no memory.
 *
 * @throws {CodecError} for what `list` would refuse; the items before it have been handed out
 */
export function eachItem<T>(
  item: Required<T>,
  list: { readonly encoded: Uint8Array; readonly maxItems: number; readonly where: string },
  use: (value: T) => void,
): void {
  // A reader of its own: `use` may decode something else.
  const from = new Reader();
  from.reset(list.encoded);
  from.where = list.where;
  for (let count = 0; from.pos < from.end; count++) {
    if (count === list.maxItems) from.fail("TOO_LARGE", `more than ${list.maxItems} items`);
    use(item.read(from));
  }
}

/**
 * Up to `maxItems` values by name, as a plain object in the order of insertion (but JavaScript
 * itself puts keys that look like array indexes first). Absent when empty. A key `__proto__` is a
 * key like any other.
 */
export function map<T>(value: Required<T>, maxItems: number): Type<Record<string, T>, "empty"> {
  checkLimit(maxItems);
  const { write, read } = value;
  return new Type<Record<string, T>, "empty">({
    wire: BYTES,
    presence: "empty",
    depth: value.depth + 1,
    absent: () => ({}),
    isEmpty: (values) => isPlain(values) && Object.keys(values).length === 0,
    write(to, values) {
      if (!isPlain(values)) to.fail("BAD_VALUE", `${show(values)} is not a plain object`);
      const keys = Object.keys(values);
      if (keys.length > maxItems) to.fail("TOO_LARGE", `${keys.length} entries exceed ${maxItems}`);
      const opened = to.open();
      for (const key of keys) {
        to.text(key, MAX_STRING_BYTES);
        write(to, values[key]!);
      }
      to.close(opened);
    },
    read(from) {
      const outer = from.enter();
      const values: Record<string, T> = {};
      let count = 0;
      while (from.pos < from.end) {
        if (count++ === maxItems) from.fail("TOO_LARGE", `more than ${maxItems} entries`);
        const key = from.text(MAX_STRING_BYTES);
        if (Object.hasOwn(values, key)) from.fail("FIELD_ORDER", `key ${show(key)} is there twice`);
        put(values, key, read(from));
      }
      from.leave(outer);
      return values;
    },
  });
}

/**
 * A `Map` or a `Date` is an object without keys. As a map it would travel as an empty one, and
 * nobody would know.
 */
function isPlain(value: unknown): value is object {
  // Not by the prototype: `process.env` is a plain object, but has a prototype of its own.
  return Object.prototype.toString.call(value) === "[object Object]";
}

// #region put
/** `values["__proto__"] = x` would set the prototype (or do nothing) instead of adding a key. */
function put<T>(values: Record<string, T>, key: string, value: T): void {
  if (key !== "__proto__") {
    values[key] = value;
    return;
  }
  const options = { writable: true, enumerable: true, configurable: true };
  Object.defineProperty(values, key, { value, ...options });
}
// #endregion

/** A field that may be missing: it is then `undefined`, and takes no bytes. */
export function optional<T>(type: Type<T>): Type<T | undefined, "optional"> {
  const { wire, depth, write, read } = type;
  return new Type<T | undefined, "optional">({
    wire,
    depth,
    presence: "optional",
    write: write as (to: Writer, value: T | undefined) => void,
    read,
  });
}

/**
 * A field that may be missing: the reader then supplies `value`. The writer always sends its own
 * value, even if that equals the default, so that a later change of the default does not rewrite
 * history.
 */
export function withDefault<T extends string | number | boolean>(
  type: Required<T>,
  value: NoInfer<T>,
): Type<T, "default"> {
  type.write(new Writer(), value); // throws now rather than in a reader, later
  const { wire, depth, write, read } = type;
  const absent = (): T => value;
  return new Type<T, "default">({ wire, depth, presence: "default", write, read, absent });
}
