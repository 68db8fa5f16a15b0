/**
 * Lesson 15: commands on hashes.
 * Test: test/15-store.commands.test.ts
 */
import { command, ONE_KEY, type Command } from "./command.ts";
import { Hash } from "../data/dict.ts";
import { addIntegers, decimal, formatDecimal, INFINITE, integer, parseInteger } from "./numbers.ts";
import { NOT_FINITE, OOM, Refusal, wrongArity } from "../refusal.ts";
import { scan, scanCursor, scanNothing, scanOptions } from "./scan.ts";
import type { Session } from "../session.ts";
import type { Store } from "../store.ts";

/** Sets one field; the hash is made when it is missing. True: the field is new. */
function setField(store: Store, key: string, [field, value]: [string, string]): boolean {
  const old = store.keys.hash(key);
  const hash = old ?? new Hash();
  if (!store.fits(hash.size, 1) && !hash.has(field)) throw OOM;
  const isNew = hash.set(field, value) === undefined;
  if (old === undefined) store.keys.put(key, hash);
  else store.keys.updated(key, hash);
  return isNew;
}

/** Throws the `Refusal` before the first field, when HSET's arguments would make too many. */
function admitAll(store: Store, argv: readonly string[]): void {
  const hash = store.keys.hash(argv[1]!);
  const size = hash?.size ?? 0;
  if (store.fits(size, (argv.length - 2) / 2)) return;
  const fields = argv.filter((_, i) => i >= 2 && i % 2 === 0);
  store.admitEntries(size, new Set(fields.filter((each) => hash?.has(each) !== true)).size);
}

function hset(store: Store, { out }: Session, argv: string[]): void {
  if (argv.length % 2 === 1) throw wrongArity(argv[0]!);
  if (argv.length > 4) admitAll(store, argv); // `setField` admits a single one
  let added = 0;
  for (let i = 2; i < argv.length; i += 2) {
    if (setField(store, argv[1]!, [argv[i]!, argv[i + 1]!])) added++;
  }
  out.int(added);
}

function hsetnx(store: Store, { out }: Session, argv: string[]): void {
  const [, key, field, value] = argv as [string, string, string, string];
  const isNew = !store.keys.hash(key)?.has(field);
  if (isNew) setField(store, key, [field, value]);
  out.int(isNew ? 1 : 0);
}

function hget(store: Store, { out }: Session, argv: string[]): void {
  const value = store.keys.hash(argv[1]!)?.get(argv[2]!);
  if (value === undefined) out.nil();
  else out.bulk(value);
}

function hmget(store: Store, { out }: Session, argv: string[]): void {
  const hash = store.keys.hash(argv[1]!);
  out.array(argv.length - 2);
  for (let i = 2; i < argv.length; i++) {
    const value = hash?.get(argv[i]!);
    if (value === undefined) out.nil();
    else out.bulk(value);
  }
}

function hgetall(store: Store, { out }: Session, argv: string[]): void {
  const hash = store.keys.hash(argv[1]!);
  out.map(hash?.size ?? 0);
  hash?.keys.forEach((field, i) => {
    out.bulk(field);
    out.bulk(hash.values[i]!);
  });
}

function hdel(store: Store, { out }: Session, argv: string[]): void {
  const hash = store.keys.hash(argv[1]!);
  let removed = 0;
  for (let i = 2; hash !== undefined && i < argv.length; i++) if (hash.delete(argv[i]!)) removed++;
  if (hash !== undefined && removed > 0) store.keys.updated(argv[1]!, hash);
  out.int(removed);
}

function hexists(store: Store, { out }: Session, argv: string[]): void {
  out.int(store.keys.hash(argv[1]!)?.has(argv[2]!) ? 1 : 0);
}

function hlen(store: Store, { out }: Session, argv: string[]): void {
  out.int(store.keys.hash(argv[1]!)?.size ?? 0);
}

/** HKEYS and HVALS. */
function column(side: "keys" | "values") {
  return (store: Store, { out }: Session, argv: string[]): void => {
    const items = store.keys.hash(argv[1]!)?.[side] ?? [];
    out.array(items.length);
    for (const item of items) out.bulk(item);
  };
}

function hincrby(store: Store, { out }: Session, argv: string[]): void {
  const [, key, field, by] = argv as [string, string, string, string];
  const step = integer(by);
  const old = parseInteger(store.keys.hash(key)?.get(field) ?? "0");
  if (old === undefined) throw new Refusal("ERR hash value is not an integer");
  const value = addIntegers(old, step);
  setField(store, key, [field, String(value)]);
  out.int(value);
}

function hincrbyfloat(store: Store, { out }: Session, argv: string[]): void {
  const [, key, field, by] = argv as [string, string, string, string];
  if (INFINITE.test(by)) throw new Refusal("ERR value is NaN or Infinity");
  const step = decimal(by);
  const old = store.keys.hash(key)?.get(field) ?? "0";
  const value = formatDecimal(hashDecimal(old) + step);
  setField(store, key, [field, value]);
  store.log("hset", key, field, value);
  out.bulk(value);
}

function hashDecimal(text: string): bigint {
  try {
    return decimal(text);
  } catch (refusal) {
    throw refusal === NOT_FINITE ? refusal : new Refusal("ERR hash value is not a float");
  }
}

function hscan(store: Store, { out }: Session, argv: string[]): void {
  const cursor = scanCursor(argv[2]!);
  const hash = store.keys.hash(argv[1]!);
  if (hash === undefined) return scanNothing(out);
  const options = scanOptions(argv, { first: 3, words: ["NOVALUES"] });
  scan(out, hash, {
    cursor,
    options,
    select: (at) => (options.values ? [hash.keys[at]!, hash.values[at]!] : [hash.keys[at]!]),
  });
}

const write = "write denyoom fast";
const read = "readonly fast";

export const HASHES: readonly Command[] = [
  command("hset", -4, { flags: write, keys: ONE_KEY, run: hset }),
  command("hsetnx", 4, { flags: write, keys: ONE_KEY, run: hsetnx }),
  command("hget", 3, { flags: read, keys: ONE_KEY, run: hget }),
  command("hmget", -3, { flags: read, keys: ONE_KEY, run: hmget }),
  command("hgetall", 2, { flags: "readonly", keys: ONE_KEY, run: hgetall }),
  command("hdel", -3, { flags: "write fast", keys: ONE_KEY, run: hdel }),
  command("hexists", 3, { flags: read, keys: ONE_KEY, run: hexists }),
  command("hlen", 2, { flags: read, keys: ONE_KEY, run: hlen }),
  command("hkeys", 2, { flags: "readonly", keys: ONE_KEY, run: column("keys") }),
  command("hvals", 2, { flags: "readonly", keys: ONE_KEY, run: column("values") }),
  command("hincrby", 4, { flags: write, keys: ONE_KEY, run: hincrby }),
  command("hincrbyfloat", 4, { flags: write, keys: ONE_KEY, run: hincrbyfloat }),
  command("hscan", -3, { flags: "readonly", keys: ONE_KEY, run: hscan }),
];
