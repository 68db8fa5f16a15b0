/**
 * Lesson 15: commands on lists, and those that wait for one.
 * Test: test/15-store.commands.test.ts
 */
import { takeOne } from "./blocking.ts";
import { command, ONE_KEY, type Command, type KeyPlaces } from "./command.ts";
import { List } from "./deque.ts";
import { count, INFINITE, NUMBER, positive, signedCount } from "./numbers.ts";
import { Refusal, wrongArity } from "./refusal.ts";
import type { Session } from "./session.ts";
import type { Store } from "./store.ts";

type Side = "left" | "right";

/** LPUSH, RPUSH; with `onlyOnto` LPUSHX and RPUSHX, which make no new list. */
function push(side: Side, { onlyOnto = false } = {}) {
  return (store: Store, { out }: Session, argv: string[]): void => {
    const key = argv[1]!;
    const old = store.keys.list(key);
    if (old === undefined && onlyOnto) return out.int(0);
    const list = old ?? new List();
    for (let i = 2; i < argv.length; i++) {
      if (side === "left") list.pushLeft(argv[i]!);
      else list.pushRight(argv[i]!);
    }
    if (old === undefined) store.keys.put(key, list);
    else store.keys.settle(key, list);
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
    for (let i = 0; i < taken; i++) out.bulk((side === "left" ? list.popLeft() : list.popRight())!);
    if (taken > 0) store.keys.settle(key, list);
  };
}

function llen(store: Store, { out }: Session, argv: string[]): void {
  out.int(store.keys.list(argv[1]!)?.size ?? 0);
}

/** The places from `start` to `end`, both included and both possibly counted from the end, as [first, behind the last]. */
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
    store.keys.settle(argv[1]!, list);
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
    store.keys.settle(argv[1]!, list);
  }
  out.ok();
}

/** 2^63 ms: what a wait is at most, in Redis. */
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
    if (store.inTransaction) session.out.nilArray();
    else store.blocking.wait(session, { keys, side, timeoutMs });
  };
}

/** Seconds, as a fraction, to whole milliseconds; a wait of less than one is not for ever. */
function waitTime(text: string): number {
  const ms = NUMBER.test(text) ? Number(text) * 1000 : INFINITE.test(text) ? (text.startsWith("-") ? -Infinity : Infinity) : NaN;
  if (Number.isNaN(ms) || (Math.abs(ms) === Infinity && !INFINITE.test(text))) throw new Refusal("ERR timeout is not a float or out of range");
  if (ms > MAX_WAIT_MS) throw new Refusal("ERR timeout is out of range");
  if (ms < 0) throw new Refusal("ERR timeout is negative");
  return Math.ceil(ms);
}

const BUT_THE_LAST: KeyPlaces = [1, -2, 1];
const write = "write denyoom fast";

export const LISTS: readonly Command[] = [
  command("lpush", -3, { flags: write, keys: ONE_KEY, run: push("left") }),
  command("rpush", -3, { flags: write, keys: ONE_KEY, run: push("right") }),
  command("lpushx", -3, { flags: write, keys: ONE_KEY, run: push("left", { onlyOnto: true }) }),
  command("rpushx", -3, { flags: write, keys: ONE_KEY, run: push("right", { onlyOnto: true }) }),
  command("lpop", -2, { flags: "write fast", keys: ONE_KEY, run: pop("left") }),
  command("rpop", -2, { flags: "write fast", keys: ONE_KEY, run: pop("right") }),
  command("llen", 2, { flags: "readonly fast", keys: ONE_KEY, run: llen }),
  command("lrange", 4, { flags: "readonly", keys: ONE_KEY, run: lrange }),
  command("lindex", 3, { flags: "readonly", keys: ONE_KEY, run: lindex }),
  command("lrem", 4, { flags: "write", keys: ONE_KEY, run: lrem }),
  command("ltrim", 4, { flags: "write", keys: ONE_KEY, run: ltrim }),
  command("blpop", -3, { flags: "write blocking", keys: BUT_THE_LAST, run: blockingPop("left") }),
  command("brpop", -3, { flags: "write blocking", keys: BUT_THE_LAST, run: blockingPop("right") }),
];
