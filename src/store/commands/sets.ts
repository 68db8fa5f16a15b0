/**
 * Lesson 15: commands on sets.
 * Test: test/15-store.commands.test.ts
 */
import { ALL_KEYS, command, ONE_KEY, TWO_KEYS, type Command } from "./command.ts";
import { Members } from "../data/dict.ts";
import { batches } from "../data/dump.ts";
import { argumentAfter, isOption, parseInteger, positive, signedCount } from "./numbers.ts";
import { OUT_OF_RANGE, Refusal, SYNTAX_ERROR } from "../refusal.ts";
import { scan, scanCursor, scanNothing, scanOptions } from "./scan.ts";
import type { Session } from "../session.ts";
import type { Store } from "../store.ts";
import type { Replies, StoreHost } from "../types.ts";

function sadd(store: Store, { out }: Session, argv: string[]): void {
  const key = argv[1]!;
  const old = store.keys.members(key);
  const set = old ?? new Members();
  // Only near the limit it matters which of them are there already.
  if (!store.fits(set.size, argv.length)) {
    store.admitEntries(set.size, countNew(set, argv.slice(2)));
  }
  let added = 0;
  for (let i = 2; i < argv.length; i++) if (set.add(argv[i]!)) added++;
  if (old === undefined) store.keys.put(key, set);
  else if (added > 0) store.keys.updated(key, set);
  out.int(added);
}

/** How many of these are new to the set. */
function countNew(set: Members, members: readonly string[]): number {
  return new Set(members.filter((each) => !set.has(each))).size;
}

function srem(store: Store, { out }: Session, argv: string[]): void {
  const set = store.keys.members(argv[1]!);
  let removed = 0;
  for (let i = 2; set !== undefined && i < argv.length; i++) if (set.delete(argv[i]!)) removed++;
  if (set !== undefined && removed > 0) store.keys.updated(argv[1]!, set);
  out.int(removed);
}

function smembers(store: Store, { out }: Session, argv: string[]): void {
  writeSet(out, store.keys.members(argv[1]!)?.keys ?? []);
}

function writeSet(out: Replies, members: readonly string[]): void {
  out.set(members.length);
  for (const member of members) out.bulk(member);
}

function writeArray(out: Replies, members: readonly string[]): void {
  out.array(members.length);
  for (const member of members) out.bulk(member);
}

function sismember(store: Store, { out }: Session, argv: string[]): void {
  out.int(store.keys.members(argv[1]!)?.has(argv[2]!) ? 1 : 0);
}

function smismember(store: Store, { out }: Session, argv: string[]): void {
  const set = store.keys.members(argv[1]!);
  out.array(argv.length - 2);
  for (let i = 2; i < argv.length; i++) out.int(set?.has(argv[i]!) ? 1 : 0);
}

function scard(store: Store, { out }: Session, argv: string[]): void {
  out.int(store.keys.members(argv[1]!)?.size ?? 0);
}

function spop(store: Store, { out }: Session, argv: string[]): void {
  if (argv.length > 3) throw SYNTAX_ERROR;
  const key = argv[1]!;
  const wanted = argv[2] === undefined ? undefined : positive(argv[2]);
  const set = store.keys.members(key);
  if (set === undefined) return wanted === undefined ? out.nil() : out.set(0);
  const whole = (wanted ?? 1) >= set.size;
  const popped = whole ? set.keys : drawOut(store.host, set, wanted ?? 1);
  if (whole) store.keys.remove(key);
  else if (popped.length > 0) store.keys.updated(key, set);
  // Which members chance chose must be the same in every replay.
  if (whole) store.log("del", key);
  else for (const words of batches(["srem", key], popped)) store.log(...words);
  if (wanted === undefined) out.bulk(popped[0]!);
  else writeSet(out, popped);
}

/** Takes so many members out, by chance. */
function drawOut(host: StoreHost, set: Members, wanted: number): string[] {
  return Array.from({ length: wanted }, () => {
    const at = draw(host, set.size);
    const member = set.keys[at]!;
    set.removeAt(at);
    return member;
  });
}

function draw({ random }: StoreHost, size: number): number {
  return Math.floor(random.unit() * size);
}

/**
 * With repetition, an answer could be of any length. A million draws are some 20 MB; Redis has no
 * such limit.
 */
const MAX_DRAWS = 1_000_000;

function srandmember(store: Store, { out }: Session, argv: string[]): void {
  if (argv.length > 3) throw SYNTAX_ERROR;
  const wanted = argv[2] === undefined ? undefined : signedCount(argv[2]);
  if (wanted !== undefined && wanted < -MAX_DRAWS) throw OUT_OF_RANGE;
  const set = store.keys.members(argv[1]!);
  if (wanted === undefined) {
    if (set === undefined) out.nil();
    else out.bulk(set.keys[draw(store.host, set.size)]!);
  } else if (set === undefined) out.array(0);
  else if (wanted < 0) {
    const drawOne = (): string => set.keys[draw(store.host, set.size)]!;
    writeArray(out, Array.from({ length: -wanted }, drawOne));
  } else if (wanted >= set.size) writeArray(out, set.keys);
  else {
    const places = sample(store.host, set.size, wanted);
    writeArray(out, places.map((at) => set.keys[at]!));
  }
}

/**
 * `wanted` different numbers below `size`: the first steps of a shuffle (Fisher and Yates), in
 * which only the places that changed are written down. O(wanted), however large the set; for a good
 * part of it all places are written down, in four bytes each.
 */
function sample(host: StoreHost, size: number, wanted: number): number[] {
  if (wanted > size / DENSE_SAMPLE) return denseSample(host, size, wanted);
  const moved = new Map<number, number>();
  return Array.from({ length: wanted }, (_, i) => {
    const at = i + draw(host, size - i);
    const taken = moved.get(at) ?? at;
    moved.set(at, moved.get(i) ?? i);
    return taken;
  });
}

/** An entry of a Map costs fourteen times as much as a place in an array of 32 bits. */
const DENSE_SAMPLE = 16;

function denseSample(host: StoreHost, size: number, wanted: number): number[] {
  const places = Uint32Array.from({ length: size }, (_, i) => i);
  return Array.from({ length: wanted }, (_, i) => {
    const at = i + draw(host, size - i);
    const taken = places[at]!;
    places[at] = places[i]!;
    return taken;
  });
}

function smove(store: Store, { out }: Session, argv: string[]): void {
  const [, from, to, member] = argv as [string, string, string, string];
  if (!store.keys.has(from)) return out.int(0);
  const source = store.keys.members(from)!;
  const target = store.keys.members(to);
  if (from === to) return out.int(source.has(member) ? 1 : 0);
  if (!source.delete(member)) return out.int(0);
  store.keys.updated(from, source);
  if (target === undefined) {
    const set = new Members();
    set.add(member);
    store.keys.put(to, set);
  } else if (target.add(member)) store.keys.updated(to, target);
  out.int(1);
}

/** Combines sets (undefined: a key that is not there) into the members of the result. */
type Combine = (sets: readonly (Members | undefined)[], store: Store) => readonly string[];

/** Only the smallest set is walked. */
function intersect(sets: readonly (Members | undefined)[], limit = Infinity): string[] {
  const present = sets.filter((set) => set !== undefined).sort((a, b) => a.size - b.size);
  const found: string[] = [];
  if (present.length < sets.length) return found;
  const [smallest, ...others] = present;
  for (const member of smallest!.keys) {
    if (found.length >= limit) break;
    if (others.every((set) => set.has(member))) found.push(member);
  }
  return found;
}

function union(sets: readonly (Members | undefined)[], store: Store): readonly string[] {
  return gather(store, sets.map((set) => set?.keys ?? [])).keys;
}

/** How many members are added between two looks at their bytes. */
const GATHERED_PER_LOOK = 1024;

/** All of these in one set. Throws the `Refusal` before it is too large to be held. */
function gather(store: Store, lists: readonly (readonly string[])[]): Members {
  const all = new Members();
  for (const list of lists) {
    for (const member of list) {
      if (all.add(member) && all.size % GATHERED_PER_LOOK === 0) store.admitBytes(all.bytes);
    }
  }
  return all;
}

function difference([first, ...others]: readonly (Members | undefined)[]): string[] {
  return (first?.keys ?? []).filter((member) => !others.some((set) => set?.has(member)));
}

function combine(how: Combine) {
  return (store: Store, { out }: Session, argv: string[]): void => {
    writeSet(out, how(argv.slice(1).map((key) => store.keys.members(key)), store));
  };
}

function combineAndStore(how: Combine) {
  return (store: Store, { out }: Session, argv: string[]): void => {
    const members = how(argv.slice(2).map((key) => store.keys.members(key)), store);
    if (members.length === 0) store.keys.remove(argv[1]!);
    else {
      store.admitEntries(0, members.length);
      store.keys.replace(argv[1]!, gather(store, [members]));
    }
    out.int(members.length);
  };
}

function sintercard(store: Store, { out }: Session, argv: string[]): void {
  const wanted = parseInteger(argv[1]!);
  if (wanted === undefined || wanted <= 0) {
    throw new Refusal("ERR numkeys should be greater than 0");
  }
  if (wanted > argv.length - 2) {
    throw new Refusal("ERR Number of keys can't be greater than number of args");
  }
  const end = 2 + Number(wanted);
  let limit = Infinity;
  for (let i = end; i < argv.length; i++) {
    if (!isOption(argv[i]!, "LIMIT")) throw SYNTAX_ERROR;
    const value = parseInteger(argumentAfter(argv, i++));
    if (value === undefined || value < 0) throw new Refusal("ERR LIMIT can't be negative");
    limit = value === 0 ? Infinity : Number(value);
  }
  out.int(intersect(argv.slice(2, end).map((key) => store.keys.members(key)), limit).length);
}

function sscan(store: Store, { out }: Session, argv: string[]): void {
  const cursor = scanCursor(argv[2]!);
  const set = store.keys.members(argv[1]!);
  if (set === undefined) return scanNothing(out);
  scan(out, set, {
    cursor,
    options: scanOptions(argv, { first: 3, words: [] }),
    select: (index) => [set.keys[index]!],
  });
}

export const SETS: readonly Command[] = [
  command("sadd", -3, { flags: "write denyoom fast", keys: ONE_KEY, run: sadd }),
  command("srem", -3, { flags: "write fast", keys: ONE_KEY, run: srem }),
  command("smembers", 2, { flags: "readonly", keys: ONE_KEY, run: smembers }),
  command("sismember", 3, { flags: "readonly fast", keys: ONE_KEY, run: sismember }),
  command("smismember", -3, { flags: "readonly fast", keys: ONE_KEY, run: smismember }),
  command("scard", 2, { flags: "readonly fast", keys: ONE_KEY, run: scard }),
  command("spop", -2, { flags: "write fast", keys: ONE_KEY, run: spop }),
  command("srandmember", -2, { flags: "readonly", keys: ONE_KEY, run: srandmember }),
  command("smove", 4, { flags: "write fast", keys: TWO_KEYS, run: smove }),
  command("sinter", -2, {
    flags: "readonly",
    keys: ALL_KEYS,
    run: combine((sets) => intersect(sets)),
  }),
  command("sunion", -2, { flags: "readonly", keys: ALL_KEYS, run: combine(union) }),
  command("sdiff", -2, { flags: "readonly", keys: ALL_KEYS, run: combine(difference) }),
  command("sinterstore", -3, {
    flags: "write denyoom",
    keys: ALL_KEYS,
    run: combineAndStore((sets) => intersect(sets)),
  }),
  command("sunionstore", -3, {
    flags: "write denyoom",
    keys: ALL_KEYS,
    run: combineAndStore(union),
  }),
  command("sdiffstore", -3, {
    flags: "write denyoom",
    keys: ALL_KEYS,
    run: combineAndStore(difference),
  }),
  command("sintercard", -3, { flags: "readonly movablekeys", run: sintercard }),
  command("sscan", -3, { flags: "readonly", keys: ONE_KEY, run: sscan }),
];
