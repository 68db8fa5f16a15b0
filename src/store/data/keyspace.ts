/**
 * Lesson 15: the keys, their values and their deadlines.
 *
 * All commands reach the data through here, which is why five things happen in one place only: a
 * dead key is removed before anyone sees it, a value of the wrong type is refused, an empty
 * collection disappears, the clients that watch a key learn of its change, and those that wait for
 * a list learn that there is one.
 *
 * Invariants: every key of `expiry` exists; no collection is empty after a command; `bytes` is the
 * sum of what keys, values and deadlines cost, whatever has happened to them.
 * Left out: several databases (SELECT 0 only). They share nothing but the port, so a second process
 * serves as well.
 * Test: test/15-store.test.ts
 */
import { List } from "./list.ts";
import { Dict, Hash, Members } from "./dict.ts";
import { Expiry } from "./expiry.ts";
import { DEADLINE_BYTES, STRING_BYTES } from "./memory.ts";
import { WRONG_TYPE } from "../refusal.ts";
import type { StoreHost } from "../types.ts";

/** A string is itself; the rest are classes. A `Hash` is a `Members` too: ask for it first. */
export type Value = string | Hash | Members | List;

export type TypeName = "string" | "hash" | "set" | "list";

export function typeOf(value: Value): TypeName {
  if (typeof value === "string") return "string";
  if (value instanceof Hash) return "hash";
  return value instanceof List ? "list" : "set";
}

/** The events that the store wants to know of. */
export interface KeyspaceHooks {
  /** The key's value or deadline changed, or it is gone. */
  changed(key: string): void;
  /** There is a list under this key, where there was none. */
  listAppeared(key: string): void;
  /** The key was removed because its time had come. */
  expired(key: string): void;
  /** The key is about to be removed, and another will take its place in the table. */
  moving(from: number, to: number): void;
}

export class Keyspace {
  /** Replaced, never emptied, by `clear`: a snapshot under way keeps the old one. */
  dict = new Dict<Value>();
  readonly expiry: Expiry;
  /**
   * A primary removes dead keys. A replica hides them, until the primary's DEL arrives; a replay
   * neither removes nor hides.
   */
  mode: "remove" | "hide" | "replay" = "remove";
  readonly #host: StoreHost;
  readonly #hooks: KeyspaceHooks;
  /** The time of the command under way, 0 until it is asked for: a command sees one time only. */
  #now = 0;
  /** What the values cost; the table knows what the keys cost. */
  #valueBytes = 0;

  constructor(host: StoreHost, hooks: KeyspaceHooks) {
    this.#host = host;
    this.#hooks = hooks;
    this.expiry = new Expiry(host, (key) => this.#expire(key));
  }

  get size(): number {
    return this.dict.size;
  }

  /** What keys, values and deadlines cost, an estimate. */
  get bytes(): number {
    return this.dict.bytes + this.#valueBytes + this.expiry.size * DEADLINE_BYTES;
  }

  /** Wall-clock milliseconds, the same during a whole command or transaction. */
  now(): number {
    if (this.#now === 0) this.#now = this.#host.clock.wall();
    return this.#now;
  }

  /** A new command begins. */
  tick(): void {
    this.#now = 0;
  }

  /** The live value, or undefined. */
  get(key: string): Value | undefined {
    if (this.expiry.size !== 0 && this.#isDead(key)) return undefined;
    return this.dict.get(key);
  }

  #isDead(key: string): boolean {
    const at = this.expiry.get(key);
    if (at === undefined || this.mode === "replay" || at > this.now()) return false;
    if (this.mode === "remove") this.#expire(key);
    return true;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  string(key: string): string | undefined {
    const value = this.get(key);
    if (value !== undefined && typeof value !== "string") throw WRONG_TYPE;
    return value;
  }

  hash(key: string): Hash | undefined {
    const value = this.get(key);
    if (value !== undefined && !(value instanceof Hash)) throw WRONG_TYPE;
    return value;
  }

  members(key: string): Members | undefined {
    const value = this.get(key);
    if (value !== undefined && (!(value instanceof Members) || value instanceof Hash)) {
      throw WRONG_TYPE;
    }
    return value;
  }

  list(key: string): List | undefined {
    const value = this.get(key);
    if (value !== undefined && !(value instanceof List)) throw WRONG_TYPE;
    return value;
  }

  /** Sets the value and leaves the deadline as it is. */
  put(key: string, value: Value): void {
    const old = this.dict.set(key, value);
    // Most writes put a string over a string.
    if (typeof value === "string" && typeof old === "string") {
      this.#valueBytes += value.length - old.length;
    } else this.#count(old, value);
    this.#hooks.changed(key);
    if (typeof value !== "string" && value instanceof List) this.#hooks.listAppeared(key);
  }

  #count(old: Value | undefined, value: Value): void {
    if (old !== undefined) this.#valueBytes -= countedBytes(old);
    if (typeof value !== "string") value.counted = value.bytes;
    this.#valueBytes += countedBytes(value);
  }

  /** Sets the value; the key has no deadline afterwards. */
  replace(key: string, value: Value): void {
    if (this.expiry.size !== 0) this.expiry.clear(key);
    this.put(key, value);
  }

  /** False: there was no such key. A dead one does not count. */
  remove(key: string): boolean {
    if (!this.has(key)) return false;
    this.#drop(key);
    this.#hooks.changed(key);
    return true;
  }

  /**
   * To be called after a change of a collection: an empty one is removed, and watchers are told.
   */
  updated(key: string, value: Hash | Members | List): void {
    if (value.size === 0) this.#drop(key);
    else {
      this.#valueBytes += value.bytes - value.counted;
      value.counted = value.bytes;
    }
    this.#hooks.changed(key);
  }

  /** Sets the deadline of an existing key, in wall-clock ms; undefined takes it away. */
  setDeadline(key: string, at: number | undefined): void {
    if (at === undefined) this.expiry.clear(key);
    else this.expiry.set(key, at);
    this.#hooks.changed(key);
  }

  /** Makes the keyspace empty, and returns a function that brings the old data back. */
  setAside(): () => void {
    const { dict } = this;
    const valueBytes = this.#valueBytes;
    const deadlines = this.expiry.entries();
    this.clear();
    return () => {
      this.clear();
      this.dict = dict;
      this.#valueBytes = valueBytes;
      for (const [key, at] of deadlines) this.expiry.set(key, at);
    };
  }

  clear(): void {
    const { keys } = this.dict;
    this.dict = new Dict();
    this.#valueBytes = 0;
    this.expiry.clearAll();
    for (const key of keys) this.#hooks.changed(key);
  }

  #expire(key: string): void {
    this.#drop(key);
    this.#hooks.expired(key);
  }

  #drop(key: string): void {
    const at = this.dict.indexOf(key);
    this.#hooks.moving(this.dict.size - 1, at);
    this.#valueBytes -= countedBytes(this.dict.values[at]!);
    this.dict.removeAt(at);
    if (this.expiry.size !== 0) this.expiry.clear(key);
  }
}

function countedBytes(value: Value): number {
  return typeof value === "string" ? STRING_BYTES + value.length : value.counted;
}
