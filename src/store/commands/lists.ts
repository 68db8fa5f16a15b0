/**
 * Lesson 15: commands on lists, and those that wait for one.
 * Test: test/15-store.commands.test.ts
 */
import { command, ONE_KEY, TWO_KEYS, type Command, type KeyPlaces } from "./command.ts";
import { List } from "../data/list.ts";
import { count, parseFraction, positive, signedCount } from "./numbers.ts";
import { Refusal, SYNTAX_ERROR, wrongArity } from "../refusal.ts";
import type { Session } from "../session.ts";
import type { Store } from "../store.ts";

type Side = "left" | "right";

function push(side: Side) {
  return (store: Store, { out }: Session, argv: string[]): void => {
    const key = argv[1]!;
    const old = store.keys.list(key);
    const list = old ?? new List();
    store.admitEntries(list.size, argv.length - 2);
    for (let i = 2; i < argv.length; i++) {
      if (side === "left") list.pushLeft(argv[i]!);
      else list.pushRight(argv[i]!);
    }
    if (old === undefined) store.keys.put(key, list);
    else store.keys.updated(key, list);
    out.int(list.size);
  };
}

function pop(side: Side) {
  return (store: Store, { out }: Session, argv: string[]): void => {
    if (argv.length > 3) throw wrongArity(argv[0]!);
    const wanted = argv[2] === undefined ? undefined : positive(argv[2]);
    const key = argv[1]!;
    const list = store.keys.list(key);
    if (list === undefined) return wanted === undefined ? out.nil() : out.nilArray();
    const taken = Math.min(wanted ?? 1, list.size);
    if (wanted !== undefined) out.array(taken);
    for (let i = 0; i < taken; i++) out.bulk(takeFrom(list, side));
    if (taken > 0) store.keys.updated(key, list);
  };
}

function llen(store: Store, { out }: Session, argv: string[]): void {
  out.int(store.keys.list(argv[1]!)?.size ?? 0);
}

/**
 * The places from `start` to `end`, both included and both possibly counted from the end, as
 * [first, behind the last].
 */
function range(startText: string, endText: string): (size: number) => [number, number] {
  const [start, end] = [count(startText), count(endText)];
  return (size) => {
    const first = Math.max(0, start < 0 ? start + size : start);
    const behind = Math.min(size, (end < 0 ? end + size : end) + 1);
    return first >= behind ? [0, 0] : [first, behind];
  };
}

function lrange(store: Store, { out }: Session, argv: string[]): void {
  const placesIn = range(argv[2]!, argv[3]!);
  const list = store.keys.list(argv[1]!);
  if (list === undefined) return out.array(0);
  const [first, behind] = placesIn(list.size);
  out.array(behind - first);
  for (let i = first; i < behind; i++) out.bulk(list.at(i)!);
}

function lindex(store: Store, { out }: Session, argv: string[]): void {
  const list = store.keys.list(argv[1]!);
  if (list === undefined) return out.nil();
  const index = count(argv[2]!);
  const at = index < 0 ? index + list.size : index;
  if (at < 0 || at >= list.size) out.nil();
  else out.bulk(list.at(at)!);
}

/** Removes the first (negative: the last) so many elements that equal the given one; 0: all. */
function lrem(store: Store, { out }: Session, argv: string[]): void {
  const wanted = signedCount(argv[2]!);
  const list = store.keys.list(argv[1]!);
  if (list === undefined) return out.int(0);
  const most = wanted === 0 ? Infinity : Math.abs(wanted);
  const places: number[] = [];
  for (let n = 0; n < list.size && places.length < most; n++) {
    const i = wanted < 0 ? list.size - 1 - n : n;
    if (list.at(i) === argv[3]) places.push(i);
  }
  if (places.length > 0) {
    list.remove(wanted < 0 ? places.reverse() : places);
    store.keys.updated(argv[1]!, list);
  }
  out.int(places.length);
}

function ltrim(store: Store, { out }: Session, argv: string[]): void {
  const placesIn = range(argv[2]!, argv[3]!);
  const list = store.keys.list(argv[1]!);
  if (list !== undefined) {
    const [first, behind] = placesIn(list.size);
    for (let right = list.size - behind; right > 0; right--) list.popRight();
    for (let left = first; left > 0; left--) list.popLeft();
    store.keys.updated(argv[1]!, list);
  }
  out.ok();
}

/** 2^63 ms: the longest wait, as in Redis. */
const MAX_WAIT_MS = 2 ** 63;

function blockingPop(side: Side) {
  return (store: Store, session: Session, argv: string[]): void => {
    const timeoutMs = waitTime(argv.at(-1)!);
    const keys = argv.slice(1, -1);
    for (const key of keys) {
      const list = store.keys.list(key);
      if (list !== undefined) return takeOne(store, session, { key, list, side });
    }
    // Inside a transaction nobody else can push: a wait would never end.
    if (store.inTransaction) return session.out.nilArray();
    const take = (key: string, list: List): void => takeOne(store, session, { key, list, side });
    store.blocking.wait(session, { keys, take, timeoutMs });
  };
}

interface Taking {
  readonly key: string;
  readonly list: List;
  readonly side: Side;
}

/** Pops one element and answers with [key, element]. */
function takeOne(store: Store, { out }: Session, { key, list, side }: Taking): void {
  const item = takeFrom(list, side);
  store.keys.updated(key, list);
  store.log(side === "left" ? "lpop" : "rpop", key);
  out.array(2);
  out.bulk(key);
  out.bulk(item);
}

function takeFrom(list: List, side: Side): string {
  return (side === "left" ? list.popLeft() : list.popRight())!;
}

interface Move {
  readonly from: string;
  readonly to: string;
  readonly fromSide: Side;
  readonly toSide: Side;
}

/**
 * Takes an element from one list, puts it on another (or the same), and answers with it. At every
 * moment it is on one of the two: a worker that dies with the element has it on its own list.
 */
function moveOne(store: Store, { out }: Session, { from, to, fromSide, toSide }: Move): void {
  const source = store.keys.list(from);
  if (source === undefined) return out.nil();
  const target = from === to ? source : store.keys.list(to);
  if (target !== undefined && target !== source) store.admitEntries(target.size, 1);
  // `call` says this for the keys of a command. A client that has waited is served outside of one.
  for (const key of [from, to]) store.beforeChange(key);
  const item = takeFrom(source, fromSide);
  const list = target ?? new List();
  if (toSide === "left") list.pushLeft(item);
  else list.pushRight(item);
  store.keys.updated(from, source);
  if (target === undefined) store.keys.put(to, list);
  else if (target !== source) store.keys.updated(to, target);
  store.log("lmove", from, to, fromSide, toSide);
  out.bulk(item);
}

/** LMOVE; without sides RPOPLPUSH, its older name. */
function lmove(store: Store, session: Session, argv: string[]): void {
  moveOne(store, session, readMove(argv, argv.slice(3)));
}

/** BLMOVE and BRPOPLPUSH. */
function blmove(store: Store, session: Session, argv: string[]): void {
  const move = readMove(argv, argv.slice(3, -1));
  const timeoutMs = waitTime(argv.at(-1)!);
  const take = (): void => moveOne(store, session, move);
  if (store.keys.list(move.from) !== undefined || store.inTransaction) take();
  else store.blocking.wait(session, { keys: [move.from], take, timeoutMs });
}

function readMove(argv: readonly string[], sides: readonly string[]): Move {
  const [from, to] = [argv[1]!, argv[2]!];
  if (sides.length === 0) return { from, to, fromSide: "right", toSide: "left" };
  const [fromSide, toSide] = sides.map((word) => word.toLowerCase()) as [Side, Side];
  if (!isSide(fromSide) || !isSide(toSide)) throw SYNTAX_ERROR;
  return { from, to, fromSide, toSide };
}

function isSide(word: string): word is Side {
  return word === "left" || word === "right";
}

/** Seconds, as a fraction, to whole milliseconds, rounded up: 0 would be for ever. */
function waitTime(text: string): number {
  const seconds = parseFraction(text);
  if (seconds === undefined) throw new Refusal("ERR timeout is not a float or out of range");
  const ms = seconds * 1000;
  if (ms > MAX_WAIT_MS) throw new Refusal("ERR timeout is out of range");
  if (ms < 0) throw new Refusal("ERR timeout is negative");
  return Math.ceil(ms);
}

const BUT_THE_LAST: KeyPlaces = [1, -2, 1];
const write = "write denyoom fast";

export const LISTS: readonly Command[] = [
  command("lpush", -3, { flags: write, keys: ONE_KEY, run: push("left") }),
  command("rpush", -3, { flags: write, keys: ONE_KEY, run: push("right") }),
  command("lpop", -2, { flags: "write fast", keys: ONE_KEY, run: pop("left") }),
  command("rpop", -2, { flags: "write fast", keys: ONE_KEY, run: pop("right") }),
  command("llen", 2, { flags: "readonly fast", keys: ONE_KEY, run: llen }),
  command("lrange", 4, { flags: "readonly", keys: ONE_KEY, run: lrange }),
  command("lindex", 3, { flags: "readonly", keys: ONE_KEY, run: lindex }),
  command("lrem", 4, { flags: "write", keys: ONE_KEY, run: lrem }),
  command("ltrim", 4, { flags: "write", keys: ONE_KEY, run: ltrim }),
  command("lmove", 5, { flags: "write denyoom", keys: TWO_KEYS, run: lmove }),
  command("rpoplpush", 3, { flags: "write denyoom", keys: TWO_KEYS, run: lmove }),
  command("blpop", -3, { flags: "write blocking", keys: BUT_THE_LAST, run: blockingPop("left") }),
  command("brpop", -3, { flags: "write blocking", keys: BUT_THE_LAST, run: blockingPop("right") }),
  command("blmove", 6, { flags: "write denyoom blocking", keys: TWO_KEYS, run: blmove }),
  command("brpoplpush", 4, { flags: "write denyoom blocking", keys: TWO_KEYS, run: blmove }),
];
