/**
 * Lesson 15: commands on strings, which are also counters.
 * Test: test/15-store.commands.test.ts
 */
import { ALL_KEYS, command, ONE_KEY, type Command, type KeyPlaces } from "./command.ts";
import { checkLength } from "../config.ts";
import {
  addIntegers, argumentAfter, count, deadline, decimal, formatDecimal, INFINITE, integer, negate,
  TIME_OPTIONS, type TimeForm,
} from "./numbers.ts";
import { NOT_FINITE, Refusal, SYNTAX_ERROR, wrongArity } from "../refusal.ts";
import type { Session } from "../session.ts";
import type { Store } from "../store.ts";

type Argv = string[];

function get(store: Store, { out }: Session, argv: Argv): void {
  const value = store.keys.string(argv[1]!);
  if (value === undefined) out.nil();
  else out.bulk(value);
}

/** The options of SET; GETEX takes those about the deadline. */
interface Options {
  nx: boolean;
  xx: boolean;
  get: boolean;
  /** IFEQ: only over this value; IFNE: only over another, or none. */
  compare: Comparison | undefined;
  keepTtl: boolean;
  persist: boolean;
  /** Computes the deadline, in wall-clock ms, or refuses it. */
  time: (() => number) | undefined;
}

/**
 * Reads options from `argv[first]` on; `allowed` are the words of this command besides the times.
 */
function readOptions(
  store: Store,
  argv: Argv,
  { first, allowed }: { first: number; allowed: readonly string[] },
): Options {
  const options: Options = {
    nx: false, xx: false, get: false, compare: undefined, keepTtl: false, persist: false,
    time: undefined,
  };
  let ttlWord: string | undefined;
  for (let i = first; i < argv.length; i++) {
    const word = argv[i]!.toUpperCase();
    const form = (TIME_OPTIONS as Readonly<Record<string, TimeForm>>)[word];
    // A command decides once about the deadline; to say the same thing twice is allowed.
    if (form !== undefined || word === "KEEPTTL" || word === "PERSIST") {
      if (ttlWord !== undefined && ttlWord !== word) throw SYNTAX_ERROR;
      ttlWord = word;
    }
    if (form !== undefined) {
      const text = argumentAfter(argv, i++);
      options.time = () => expireTime(text, { ...form, now: store.keys.now(), name: argv[0]! });
    } else if (!allowed.includes(word)) {
      throw allowed.includes("IFEQ") && isDigest(word) ? NO_DIGEST : SYNTAX_ERROR;
    } else if (word === "NX" && !options.xx && options.compare === undefined) options.nx = true;
    else if (word === "XX" && !options.nx && options.compare === undefined) options.xx = true;
    else if (isComparison(word) && !options.nx && !options.xx && options.compare === undefined) {
      options.compare = { word, value: argumentAfter(argv, i++) };
    } else if (word === "GET") options.get = true;
    else if (word === "KEEPTTL") options.keepTtl = true;
    else if (word === "PERSIST") options.persist = true;
    else throw SYNTAX_ERROR;
  }
  return options;
}

type Comparison = { readonly word: "IFEQ" | "IFNE"; readonly value: string };

function isComparison(word: string): word is Comparison["word"] {
  return word === "IFEQ" || word === "IFNE";
}

/** Redis compares a digest of the value, too. */
function isDigest(word: string | undefined): boolean {
  return word === "IFDEQ" || word === "IFDNE";
}

/**
 * Compares in the command that changes: between a GET and a DEL, a lock may run out and be taken by
 * another client.
 */
function holds({ word, value }: Comparison, old: string | undefined): boolean {
  return (old === value) === (word === "IFEQ");
}

/** Deletes a key if it has this value (IFEQ), or another one (IFNE). */
function delex(store: Store, { out }: Session, argv: Argv): void {
  const [, key, text, value] = argv as [string, string, string?, string?];
  if (argv.length !== 2 && argv.length !== 4) throw wrongArity("delex");
  const word = text?.toUpperCase();
  // Also when there is no such key, for which Redis answers 0: a caller's first test shows it.
  if (isDigest(word)) throw NO_DIGEST;
  const old = store.keys.get(key);
  if (old === undefined) return out.int(0);
  if (word !== undefined) {
    if (typeof old !== "string") throw NO_STRING;
    if (!isComparison(word)) throw NO_CONDITION;
    if (!holds({ word, value: value! }, old)) return out.int(0);
  }
  store.keys.remove(key);
  store.log("del", key);
  out.int(1);
}

const NO_STRING = new Refusal("ERR Key should be of string type if conditions are specified");
const NO_CONDITION = new Refusal("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
const NO_DIGEST = new Refusal("ERR IFDEQ and IFDNE are not supported: this store has no DIGEST");

/**
 * A deadline that SET and its like accept: a time of zero or less is refused, a moment in the past
 * is not.
 */
function expireTime(text: string, form: Parameters<typeof deadline>[1]): number {
  if (integer(text) <= 0) throw new Refusal(`ERR invalid expire time in '${form.name}' command`);
  return deadline(text, form);
}

function set(store: Store, session: Session, argv: Argv): void {
  const [, key, value] = argv as [string, string, string];
  if (argv.length === 3) {
    store.keys.replace(key, value);
    session.out.ok();
    return;
  }
  setWithOptions(store, session, argv);
}

function setWithOptions(store: Store, { out }: Session, argv: Argv): void {
  const [, key, value] = argv as [string, string, string];
  const allowed = ["NX", "XX", "IFEQ", "IFNE", "GET", "KEEPTTL"];
  const options = readOptions(store, argv, { first: 3, allowed });
  const at = options.time?.();
  const { compare } = options;
  const old = options.get || compare !== undefined ? store.keys.string(key) : undefined;
  const refused = compare !== undefined ? !holds(compare, old)
    : (options.nx && store.keys.has(key)) || (options.xx && !store.keys.has(key));
  if (!refused) {
    // `has` comes first: it removes a key whose deadline is over, which the new value must not get.
    if (options.keepTtl && store.keys.has(key)) store.keys.put(key, value);
    else setUntil(store, key, { value, at });
    if (options.keepTtl) store.log("set", key, value, "KEEPTTL");
    else if (at === undefined) store.log("set", key, value);
  }
  if (options.get) {
    if (old === undefined) out.nil();
    else out.bulk(old);
  } else if (refused) out.nil();
  else out.ok();
}

// #region until
/** Sets a value with its deadline, and logs the deadline as an absolute one. */
function setUntil(
  store: Store,
  key: string,
  { value, at }: { value: string; at: number | undefined },
): void {
  store.keys.replace(key, value);
  if (at === undefined) return;
  if (isPast(store, at)) {
    store.keys.remove(key);
    store.log("del", key);
    return;
  }
  store.keys.setDeadline(key, at);
  store.log("set", key, value, "PXAT", String(at));
}
// #endregion

/** During a replay the clock is not asked: an expiry that happened is in the log. */
function isPast(store: Store, at: number): boolean {
  return store.keys.mode === "remove" && at <= store.keys.now();
}

function setnx(store: Store, { out }: Session, argv: Argv): void {
  const isNew = !store.keys.has(argv[1]!);
  if (isNew) store.keys.put(argv[1]!, argv[2]!);
  out.int(isNew ? 1 : 0);
}

/** SETEX and PSETEX. */
function setEx(unitMs: number) {
  return (store: Store, { out }: Session, argv: Argv): void => {
    const [name, key, time, value] = argv as [string, string, string, string];
    const at = expireTime(time, { unitMs, absolute: false, now: store.keys.now(), name });
    setUntil(store, key, { value, at });
    out.ok();
  };
}

function getset(store: Store, { out }: Session, argv: Argv): void {
  const old = store.keys.string(argv[1]!);
  store.keys.replace(argv[1]!, argv[2]!);
  store.log("set", argv[1]!, argv[2]!);
  if (old === undefined) out.nil();
  else out.bulk(old);
}

function getdel(store: Store, { out }: Session, argv: Argv): void {
  const old = store.keys.string(argv[1]!);
  if (old === undefined) return out.nil();
  store.keys.remove(argv[1]!);
  store.log("del", argv[1]!);
  out.bulk(old);
}

function getex(store: Store, { out }: Session, argv: Argv): void {
  const key = argv[1]!;
  const options = readOptions(store, argv, { first: 2, allowed: ["PERSIST"] });
  const value = store.keys.string(key);
  if (value === undefined) return out.nil();
  if (options.time !== undefined) expireAt(store, key, options.time());
  else if (options.persist && store.keys.expiry.get(key) !== undefined) {
    store.keys.setDeadline(key, undefined);
    store.log("persist", key);
  }
  out.bulk(value);
}

/** Gives an existing key a deadline; one in the past ends it here and now. */
export function expireAt(store: Store, key: string, at: number): void {
  if (isPast(store, at)) {
    store.keys.remove(key);
    store.log("del", key);
  } else {
    store.keys.setDeadline(key, at);
    store.log("pexpireat", key, String(at));
  }
}

function mset(store: Store, { out }: Session, argv: Argv): void {
  checkPairs(argv);
  for (let i = 1; i < argv.length; i += 2) store.keys.replace(argv[i]!, argv[i + 1]!);
  out.ok();
}

function msetnx(store: Store, { out }: Session, argv: Argv): void {
  checkPairs(argv);
  for (let i = 1; i < argv.length; i += 2) if (store.keys.has(argv[i]!)) return out.int(0);
  for (let i = 1; i < argv.length; i += 2) store.keys.put(argv[i]!, argv[i + 1]!);
  out.int(1);
}

function checkPairs(argv: Argv): void {
  if (argv.length % 2 === 0) throw wrongArity(argv[0]!);
}

function mget(store: Store, { out }: Session, argv: Argv): void {
  out.array(argv.length - 1);
  for (let i = 1; i < argv.length; i++) {
    const value = store.keys.get(argv[i]!);
    if (typeof value === "string") out.bulk(value);
    else out.nil();
  }
}

// #region increase
/** Adds to a counter and answers with its new value. */
function increase(
  store: Store,
  { out }: Session,
  { key, by }: { key: string; by: number | bigint },
): void {
  const value = addIntegers(integer(store.keys.string(key) ?? "0"), by);
  store.keys.put(key, String(value));
  out.int(value);
}
// #endregion

function incrbyfloat(store: Store, { out }: Session, argv: Argv): void {
  const key = argv[1]!;
  const [old, step] = [store.keys.string(key) ?? "0", argv[2]!].map(decimalOrInfinite);
  if (old === undefined || step === undefined) throw NOT_FINITE;
  const value = formatDecimal(old + step);
  store.keys.put(key, value);
  // The log gets the sum: another implementation may round otherwise.
  store.log("set", key, value, "KEEPTTL");
  out.bulk(value);
}

/** Undefined for an infinite one, which is refused only after the other is known to be a number. */
function decimalOrInfinite(text: string): bigint | undefined {
  return INFINITE.test(text) ? undefined : decimal(text);
}

function append(store: Store, { out }: Session, argv: Argv): void {
  const [, key, tail] = argv as [string, string, string];
  const old = store.keys.string(key);
  if (old !== undefined) checkLength(old.length + tail.length);
  const value = joined(old ?? "", tail);
  store.keys.put(key, value);
  out.int(value.length);
}

/** It is found at once, in any text. */
const START = /^/;

/**
 * V8 joins strings by remembering both halves. That makes APPEND O(1), and a value of many small
 * appends a deep tree with dozens of bytes for each of its own. So each time the length has grown
 * by some 9 %, the tree is made flat: a pattern is looked for in flat text only, and the copying
 * adds up to a constant per byte. (Reading a character does it, too, but newer V8s leave out a
 * reading whose result nobody wants.)
 */
function joined(head: string, tail: string): string {
  const value = head + tail;
  if (sizeClass(head) !== sizeClass(value)) START.test(value);
  return value;
}

function sizeClass({ length }: string): number {
  return Math.floor(8 * Math.log2(length + 1));
}

function strlen(store: Store, { out }: Session, argv: Argv): void {
  out.int(store.keys.string(argv[1]!)?.length ?? 0);
}

function getrange(store: Store, { out }: Session, argv: Argv): void {
  const [start, end] = [count(argv[2]!), count(argv[3]!)];
  const value = store.keys.string(argv[1]!) ?? "";
  if (start < 0 && end < start) return out.bulk("");
  const from = Math.max(0, start < 0 ? start + value.length : start);
  const to = Math.max(0, end < 0 ? end + value.length : end);
  out.bulk(value.slice(from, to + 1));
}

function setrange(store: Store, { out }: Session, argv: Argv): void {
  const [, key, offsetText, patch] = argv as [string, string, string, string];
  const offset = count(offsetText);
  if (offset < 0) throw new Refusal("ERR offset is out of range");
  const old = store.keys.string(key) ?? "";
  if (patch === "") return out.int(old.length);
  checkLength(offset + patch.length);
  const value =
    old.slice(0, offset).padEnd(offset, "\0") + patch + old.slice(offset + patch.length);
  store.keys.put(key, value);
  out.int(value.length);
}

const PAIRS: KeyPlaces = [1, -1, 2];
const write = "write denyoom";
const fast = "write denyoom fast";

export const STRINGS: readonly Command[] = [
  command("get", 2, { flags: "readonly fast", keys: ONE_KEY, run: get }),
  command("set", -3, { flags: write, keys: ONE_KEY, run: set }),
  command("setnx", 3, { flags: fast, keys: ONE_KEY, run: setnx }),
  command("setex", 4, { flags: write, keys: ONE_KEY, run: setEx(1000) }),
  command("psetex", 4, { flags: write, keys: ONE_KEY, run: setEx(1) }),
  command("getset", 3, { flags: fast, keys: ONE_KEY, run: getset }),
  command("getdel", 2, { flags: "write fast", keys: ONE_KEY, run: getdel }),
  command("getex", -2, { flags: "write fast", keys: ONE_KEY, run: getex }),
  command("delex", -2, { flags: "write fast", keys: ONE_KEY, run: delex }),
  command("mset", -3, { flags: write, keys: PAIRS, run: mset }),
  command("msetnx", -3, { flags: write, keys: PAIRS, run: msetnx }),
  command("mget", -2, { flags: "readonly fast", keys: ALL_KEYS, run: mget }),
  command("append", 3, { flags: fast, keys: ONE_KEY, run: append }),
  command("strlen", 2, { flags: "readonly fast", keys: ONE_KEY, run: strlen }),
  command("getrange", 4, { flags: "readonly", keys: ONE_KEY, run: getrange }),
  command("setrange", 4, { flags: write, keys: ONE_KEY, run: setrange }),
  // #region row
  command("incr", 2, {
    flags: fast,
    keys: ONE_KEY,
    run: (store, session, argv) => increase(store, session, { key: argv[1]!, by: 1 }),
  }),
  // #endregion
  command("decr", 2, {
    flags: fast,
    keys: ONE_KEY,
    run: (store, session, argv) => increase(store, session, { key: argv[1]!, by: -1 }),
  }),
  command("incrby", 3, {
    flags: fast,
    keys: ONE_KEY,
    run: (store, session, argv) =>
      increase(store, session, { key: argv[1]!, by: integer(argv[2]!) }),
  }),
  command("decrby", 3, {
    flags: fast,
    keys: ONE_KEY,
    run: (store, session, argv) =>
      increase(store, session, { key: argv[1]!, by: negate(integer(argv[2]!)) }),
  }),
  command("incrbyfloat", 3, { flags: fast, keys: ONE_KEY, run: incrbyfloat }),
];
