/**
 * Lesson 02: messages that survive change.
 *
 *     message: field* 00            fields in ascending order of number
 *     field:   key varint, value    key = number << 3 | wire type
 *     value:   varint  |  8 bytes  |  length varint, bytes       (wire types 0, 1, 2)
 *     union:   tag varint, message
 *     list:    length varint, values without keys                (map: key, value, key, value …)
 *
 *     message.ts · fields.ts     a message: its fields, in order
 *     types.ts                   texts, numbers, lists, unions: how a value is written and read
 *     writer.ts · reader.ts      bytes out, bytes in; wire.ts the three shapes
 *     error.ts                   the mistakes that bytes can have
 *
 * The shapes are Protocol Buffers' (keys, varints, wire types); the order, the end mark and the
 * refusal of duplicates are not, so the two do not read each other.
 *
 * Invariants: decoding gives a value within every declared limit or throws a `CodecError`, and
 * allocates for the bytes that are there, never for those that a length or a count claims; no
 * proper prefix of a message is a message; a field that the reader does not know costs it a skip
 * and nothing else.
 * Left out: recursive messages (nothing in Titan is a tree of unknown depth), schemas on the wire
 * (both sides are compiled with them), keeping unknown fields for a later re-encode (Titan's
 * middlemen forward bytes, not values), 64-bit integers beyond 2^53-1.
 * Test: test/02-codec.test.ts
 */
export { CodecError, type CodecErrorCode } from "./error.ts";
export { type Fields } from "./fields.ts";
export {
  type InferFields,
  type InferVariants,
  type Message,
  message,
  type Union,
  union,
  type Variants,
} from "./message.ts";
export {
  bool,
  bytes,
  eachItem,
  enumOf,
  f64,
  i53,
  type Infer,
  list,
  map,
  optional,
  type Required,
  string,
  type Type,
  u32,
  u53,
  withDefault,
} from "./types.ts";
