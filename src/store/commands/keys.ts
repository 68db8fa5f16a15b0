/**
 * Lesson 15: commands on keys, whatever their values.
 * Test: test/15-store.commands.test.ts
 */
import { ALL_KEYS, command, ONE_KEY, TWO_KEYS, type Command } from "./command.ts";
import { List } from "../data/list.ts";
import { Hash, Members } from "../data/dict.ts";
import { checkPattern, matches } from "./glob.ts";
import { typeOf, type Value } from "../data/keyspace.ts";
import { argumentAfter, deadline, parseInteger, TIME_OPTIONS, type TimeForm } from "./numbers.ts";
import { NO_SUCH_KEY, NOT_AN_INTEGER, oneLine, Refusal, SYNTAX_ERROR } from "../refusal.ts";
import { scan, scanCursor, scanOptions } from "./scan.ts";
import type { Session } from "../session.ts";
import type { Store } from "../store.ts";
import { expireAt } from "./strings.ts";

function del(store: Store, { out }: Session, argv: string[]): void {
  let removed = 0;
  for (let i = 1; i < argv.length; i++) if (store.keys.remove(argv[i]!)) removed++;
  out.int(removed);
}

/** A key that is named twice counts twice. */
function exists(store: Store, { out }: Session, argv: string[]): void {
  let found = 0;
  for (let i = 1; i < argv.length; i++) if (store.keys.has(argv[i]!)) found++;
  out.int(found);
}

function type(store: Store, { out }: Session, argv: string[]): void {
  const value = store.keys.get(argv[1]!);
  out.simple(value === undefined ? "none" : typeOf(value));
}

function keys(store: Store, { out }: Session, argv: string[]): void {
  const pattern = checkPattern(argv[1]!);
  const all = store.keys.dict.keys;
  const found: string[] = [];
  // From the end: asking for a dead key removes it, and puts a key in its place that was visited
  // already.
  for (let i = all.length - 1; i >= 0; i--) {
    const key = all[i]!;
    if ((pattern === "*" || matches(pattern, key)) && store.keys.has(key)) found.push(key);
  }
  out.array(found.length);
  for (const key of found) out.bulk(key);
}

function scanKeys(store: Store, { out }: Session, argv: string[]): void {
  const cursor = scanCursor(argv[1]!);
  const options = scanOptions(argv, { first: 2, words: ["TYPE"] });
  const { dict } = store.keys;
  scan(out, dict, {
    cursor, options,
    select: (index) => {
      const key = dict.keys[index]!;
      const value = store.keys.get(key);
      return value !== undefined && (options.type === undefined || options.type === typeOf(value))
        ? [key]
        : [];
    },
  });
}

/**
 * Dead keys are removed when they are drawn; a replica only hides them, and gives up after so many
 * draws.
 */
const MAX_DRAWS = 100;

function randomKey(store: Store, { out }: Session): void {
  const { dict } = store.keys;
  const isEndless = store.keys.mode === "remove";
  for (let draws = 0; dict.size > 0 && (isEndless || draws < MAX_DRAWS); draws++) {
    const key = dict.keys[Math.floor(store.host.random.unit() * dict.size)]!;
    if (store.keys.has(key)) return out.bulk(key);
  }
  out.nil();
}

function rename(store: Store, { out }: Session, argv: string[]): void {
  move(store, argv);
  out.ok();
}

function renamenx(store: Store, { out }: Session, argv: string[]): void {
  if (!store.keys.has(argv[1]!)) throw NO_SUCH_KEY;
  if (store.keys.has(argv[2]!)) return out.int(0);
  move(store, argv);
  out.int(1);
}

/** The value moves with its deadline; the old value at the other name is lost with its own. */
function move(store: Store, [, from, to]: string[]): void {
  const value = store.keys.get(from!);
  if (value === undefined) throw NO_SUCH_KEY;
  if (from === to) return;
  const at = store.keys.expiry.get(from!);
  store.keys.remove(from!);
  store.keys.replace(to!, value);
  if (at !== undefined) store.keys.setDeadline(to!, at);
}

function copy(store: Store, { out }: Session, argv: string[]): void {
  const [, from, to] = argv as [string, string, string];
  let replaces = false;
  for (let i = 3; i < argv.length; i++) {
    const word = argv[i]!.toUpperCase();
    if (word === "REPLACE") replaces = true;
    else if (word === "DB") checkDatabase(argumentAfter(argv, i++));
    else throw SYNTAX_ERROR;
  }
  if (from === to) throw new Refusal("ERR source and destination objects are the same");
  const value = store.keys.get(from);
  if (value === undefined || (!replaces && store.keys.has(to))) return out.int(0);
  store.admitBytes(typeof value === "string" ? value.length : value.bytes);
  const at = store.keys.expiry.get(from);
  store.keys.replace(to, clone(value));
  if (at !== undefined) store.keys.setDeadline(to, at);
  out.int(1);
}

export function checkDatabase(text: string): void {
  const index = parseInteger(text);
  if (index === undefined) throw NOT_AN_INTEGER;
  if (index < -(2 ** 31) || index >= 2 ** 31) {
    throw new Refusal("ERR value is out of range, value must between -2147483648 and 2147483647");
  }
  if (index !== 0) throw new Refusal("ERR DB index is out of range");
}

function clone(value: Value): Value {
  if (typeof value === "string") return value;
  if (value instanceof List) return List.from(value.slice());
  const copied = value instanceof Hash ? new Hash() : new Members();
  value.keys.forEach((key, i) => {
    if (copied instanceof Hash) copied.set(key, (value as Hash).values[i]!);
    else copied.add(key);
  });
  return copied;
}

/** EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT. */
function expire(form: TimeForm) {
  return (store: Store, { out }: Session, argv: string[]): void => {
    const [name, key, time] = argv as [string, string, string];
    const allows = condition(argv);
    const at = deadline(time, { ...form, now: store.keys.now(), name });
    if (!store.keys.has(key) || !allows(at, store.keys.expiry.get(key))) return out.int(0);
    expireAt(store, key, at);
    out.int(1);
  };
}

/**
 * Whether NX, XX, GT and LT allow to replace the old deadline (undefined: none, which is later than
 * any).
 */
function condition(argv: readonly string[]): (at: number, old: number | undefined) => boolean {
  const words = argv.slice(3).map((word) => word.toUpperCase());
  const unknown = words.findIndex((word) => !/^(?:NX|XX|GT|LT)$/.test(word));
  if (unknown >= 0) {
    throw new Refusal(oneLine(`ERR Unsupported option ${argv[3 + unknown]!.slice(0, 128)}`));
  }
  const [nx, xx, gt, lt] = ["NX", "XX", "GT", "LT"].map((word) => words.includes(word));
  if (nx && (xx || gt || lt)) {
    throw new Refusal("ERR NX and XX, GT or LT options at the same time are not compatible");
  }
  if (gt && lt) throw new Refusal("ERR GT and LT options at the same time are not compatible");
  return (at, old) => {
    if (nx && old !== undefined) return false;
    if (xx && old === undefined) return false;
    if (gt && (old === undefined || at <= old)) return false;
    return !(lt && old !== undefined && at >= old);
  };
}

function persist(store: Store, { out }: Session, argv: string[]): void {
  const had = store.keys.has(argv[1]!) && store.keys.expiry.get(argv[1]!) !== undefined;
  if (had) store.keys.setDeadline(argv[1]!, undefined);
  out.int(had ? 1 : 0);
}

const NO_KEY = -2;
const NO_DEADLINE = -1;

/** TTL, PTTL, EXPIRETIME, PEXPIRETIME; seconds are rounded to the nearest. */
function ttl({ unitMs, absolute }: TimeForm) {
  return (store: Store, { out }: Session, argv: string[]): void => {
    if (!store.keys.has(argv[1]!)) return out.int(NO_KEY);
    const at = store.keys.expiry.get(argv[1]!);
    if (at === undefined) return out.int(NO_DEADLINE);
    out.int(Math.round((absolute ? at : at - store.keys.now()) / unitMs));
  };
}

function dbsize(store: Store, { out }: Session): void {
  out.int(store.keys.size);
}

function flush(store: Store, { out }: Session, argv: string[]): void {
  if (argv.length > 2 || (argv.length === 2 && !/^(?:a?sync)$/i.test(argv[1]!))) throw SYNTAX_ERROR;
  store.keys.clear();
  store.log("flushall");
  out.ok();
}

/**
 * SWAPDB and MOVE are not here: there is one database. TOUCH only counts, as nobody keeps track of
 * the keys that are used.
 */
export const KEYS: readonly Command[] = [
  command("del", -2, { flags: "write", keys: ALL_KEYS, run: del }),
  command("unlink", -2, { flags: "write fast", keys: ALL_KEYS, run: del }),
  command("exists", -2, { flags: "readonly fast", keys: ALL_KEYS, run: exists }),
  command("touch", -2, { flags: "readonly fast", keys: ALL_KEYS, run: exists }),
  command("type", 2, { flags: "readonly fast", keys: ONE_KEY, run: type }),
  command("keys", 2, { flags: "readonly", run: keys }),
  command("scan", -2, { flags: "readonly", run: scanKeys }),
  command("randomkey", 1, { flags: "readonly", run: randomKey }),
  command("rename", 3, { flags: "write", keys: TWO_KEYS, run: rename }),
  command("renamenx", 3, { flags: "write fast", keys: TWO_KEYS, run: renamenx }),
  command("copy", -3, { flags: "write denyoom", keys: TWO_KEYS, run: copy }),
  command("expire", -3, { flags: "write fast", keys: ONE_KEY, run: expire(TIME_OPTIONS.EX) }),
  command("pexpire", -3, { flags: "write fast", keys: ONE_KEY, run: expire(TIME_OPTIONS.PX) }),
  command("expireat", -3, { flags: "write fast", keys: ONE_KEY, run: expire(TIME_OPTIONS.EXAT) }),
  command("pexpireat", -3, { flags: "write fast", keys: ONE_KEY, run: expire(TIME_OPTIONS.PXAT) }),
  command("ttl", 2, { flags: "readonly fast", keys: ONE_KEY, run: ttl(TIME_OPTIONS.EX) }),
  command("pttl", 2, { flags: "readonly fast", keys: ONE_KEY, run: ttl(TIME_OPTIONS.PX) }),
  command("expiretime", 2, { flags: "readonly fast", keys: ONE_KEY, run: ttl(TIME_OPTIONS.EXAT) }),
  command("pexpiretime", 2, { flags: "readonly fast", keys: ONE_KEY, run: ttl(TIME_OPTIONS.PXAT) }),
  command("persist", 2, { flags: "write fast", keys: ONE_KEY, run: persist }),
  command("dbsize", 1, { flags: "readonly fast", run: dbsize }),
  command("flushall", -1, { flags: "write", run: flush }),
  command("flushdb", -1, { flags: "write", run: flush }),
];
