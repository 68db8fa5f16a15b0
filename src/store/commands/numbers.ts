/**
 * Lesson 15: numbers as text, exactly.
 *
 * A counter is a signed 64-bit integer, and its value is stored as its decimal digits. JavaScript's
 * numbers are exact up to 2^53, which covers nearly every counter there is; beyond it the same
 * digits are handled as a BigInt. Fractions (INCRBYFLOAT) are added as decimals with 17 places: 0.1
 * + 0.2 is 0.3, as with Redis's 80-bit floats.
 *
 * Left out: hexadecimal fractions, which Redis reads because C's strtold does.
 * Test: test/15-store.commands.test.ts
 */
import {
  MUST_BE_POSITIVE, NOT_A_FLOAT, NOT_AN_INTEGER, NOT_FINITE, Refusal, SYNTAX_ERROR,
} from "../refusal.ts";

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** "-9223372036854775808" */
const MAX_INTEGER_CHARS = 20;

/**
 * The integer that this text spells in the one allowed way (no `+`, no leading zeros or spaces), or
 * undefined.
 */
export function parseInteger(text: string): number | bigint | undefined {
  const { length } = text;
  if (length > MAX_INTEGER_CHARS) return undefined;
  const isNegative = text.charCodeAt(0) === 0x2d;
  const first = isNegative ? 1 : 0;
  if (first === length) return undefined;
  let value = 0;
  for (let i = first; i < length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  if (text.charCodeAt(first) === 0x30 && (length > first + 1 || isNegative)) return undefined;
  if (Number.isSafeInteger(value)) return isNegative ? -value : value;
  const exact = BigInt(text);
  return exact < INT64_MIN || exact > INT64_MAX ? undefined : exact;
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** As `parseInteger`, with the refusal. */
export function integer(text: string): number | bigint {
  const value = parseInteger(text);
  if (value === undefined) throw NOT_AN_INTEGER;
  return value;
}

/**
 * For counts and offsets: an integer, clamped to what a number holds exactly. Nothing here has 2^53
 * elements.
 */
export function count(text: string): number {
  const value = integer(text);
  if (typeof value === "number") return value;
  return value < 0n ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
}

/** A count whose sign is a direction: -2^63 is refused, since it has no opposite. */
export function signedCount(text: string): number {
  if (parseInteger(text) === INT64_MIN) {
    throw new Refusal(
      `ERR value is out of range, value must between ${-INT64_MAX} and ${INT64_MAX}`,
    );
  }
  return count(text);
}

/** A count of elements: zero or more. */
export function positive(text: string): number {
  const value = parseInteger(text);
  if (value === undefined || value < 0) throw MUST_BE_POSITIVE;
  return Math.min(Number(value), Number.MAX_SAFE_INTEGER);
}

/** The sum of two 64-bit integers. Throws a `Refusal` when the sum is no 64-bit integer. */
export function addIntegers(a: number | bigint, b: number | bigint): number | bigint {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  const sum = BigInt(a) + BigInt(b);
  if (sum < INT64_MIN || sum > INT64_MAX) {
    throw new Refusal("ERR increment or decrement would overflow");
  }
  return narrow(sum);
}

/** −value. Throws a `Refusal` for −2^63, whose opposite is no 64-bit integer. */
export function negate(value: number | bigint): number | bigint {
  if (value === INT64_MIN) throw new Refusal("ERR decrement would overflow");
  return typeof value === "number" ? 0 - value : narrow(-value);
}

/** Places behind the point: as many as Redis prints of a long double. */
const PLACES = 17;

/** A long double ends at 10^4932; a number with more digits than that is no float. */
const MAX_EXPONENT = 4932;

/** As in Redis, whose buffer of 5 KiB has a zero byte at its end: more than any long double has. */
const MAX_FLOAT_CHARS = 5 * 1024 - 1;

/** An infinite number, as C's strtold reads it. */
export const INFINITE = /^[+-]?inf(?:inity)?$/i;

/** A fraction as people write it. */
export const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

const HEXADECIMAL = /^([+-]?)0x([\da-f]*)\.?([\da-f]*)(?:p([+-]?\d+))?$/i;

/**
 * A fraction as C's strtold reads it, infinities and hexadecimal ones (0x.8p-1) included; undefined
 * for other text, and for a finite number beyond a double.
 */
export function parseFraction(text: string): number | undefined {
  if (INFINITE.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  const value = NUMBER.test(text) ? Number(text) : parseHexadecimal(text);
  return value === undefined || Math.abs(value) === Infinity ? undefined : value;
}

function parseHexadecimal(text: string): number | undefined {
  const [, sign, whole = "", fraction = "", exponent = 0] = HEXADECIMAL.exec(text) ?? [];
  if (whole + fraction === "") return undefined;
  const digits = Number(`0x${whole}${fraction}`);
  const value = digits * 2 ** (Number(exponent) - 4 * fraction.length);
  return sign === "-" ? -value : value;
}

/** The decimal that this text spells, in units of 10^-17. Throws NOT_FINITE for an infinite one. */
export function decimal(text: string): bigint {
  const match =
    text.length > MAX_FLOAT_CHARS
      ? null
      : /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,9}))?$/.exec(text);
  const [, sign = "", whole = "", fraction = "", exponent = 0] = match ?? [];
  if (match === null && INFINITE.test(text)) throw NOT_FINITE;
  if (match === null || whole + fraction === "") throw NOT_A_FLOAT;
  const shift = Number(exponent) - fraction.length + PLACES;
  if (whole.length + Number(exponent) > MAX_EXPONENT) throw NOT_A_FLOAT;
  const digits = BigInt(whole + fraction);
  const scaled = shift >= 0 ? digits * 10n ** BigInt(shift) : roundedShift(digits, -shift);
  return sign === "-" ? -scaled : scaled;
}

/** digits / 10^places, to the nearest. */
function roundedShift(digits: bigint, places: number): bigint {
  if (places > MAX_FLOAT_CHARS) return 0n;
  const unit = 10n ** BigInt(places);
  return (digits + unit / 2n) / unit;
}

/** The shortest text for it: no exponent, no zeros at the end. */
export function formatDecimal(value: bigint): string {
  const digits = (value < 0n ? -value : value).toString().padStart(PLACES + 1, "0");
  const fraction = digits.slice(-PLACES).replace(/0+$/, "");
  const sign = value < 0n ? "-" : "";
  return `${sign}${digits.slice(0, -PLACES)}${fraction === "" ? "" : `.${fraction}`}`;
}

/**
 * The last number below 2^63. A larger one would be rounded to 2^63, and logged as digits that are
 * no 64-bit integer.
 */
const MAX_DEADLINE = 2 ** 63 - 1024;

/** How a command counts time. */
export interface TimeForm {
  /** Milliseconds in one unit: 1000 or 1. */
  readonly unitMs: number;
  /** Since 1970, and not from now. */
  readonly absolute: boolean;
}

/** The forms that SET and GETEX take. */
export const TIME_OPTIONS = {
  EX: { unitMs: 1000, absolute: false }, PX: { unitMs: 1, absolute: false },
  EXAT: { unitMs: 1000, absolute: true }, PXAT: { unitMs: 1, absolute: true },
} satisfies Readonly<Record<string, TimeForm>>;

/**
 * The deadline that a command means, in wall-clock ms. `name` is for the refusal, which comes when
 * it does not fit 64 bits. Beyond 2^53 (the year 287,396) it is rounded.
 */
export function deadline(
  text: string,
  { unitMs, absolute, now, name }: TimeForm & { readonly now: number; readonly name: string },
): number {
  const value = integer(text);
  const start = absolute ? 0 : now;
  const at = Number(value) * unitMs + start;
  if (Number.isSafeInteger(at)) return at;
  // The span itself must fit, too: the time of day would bring a negative one back into range.
  const span = BigInt(value) * BigInt(unitMs);
  if (span < INT64_MIN || span > INT64_MAX || span + BigInt(start) > INT64_MAX) {
    throw new Refusal(`ERR invalid expire time in '${name}' command`);
  }
  return Math.min(at, MAX_DEADLINE);
}

/** `true` when `text` names this option, in whatever case. `option` is in upper case. */
export function isOption(text: string, option: string): boolean {
  return text.length === option.length && text.toUpperCase() === option;
}

/** The argument after an option, which must be there. */
export function argumentAfter(argv: readonly string[], at: number): string {
  const value = argv[at + 1];
  if (value === undefined) throw SYNTAX_ERROR;
  return value;
}
