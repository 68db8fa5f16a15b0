/**
 * Lesson 01 and all others use this: the few helpers that would otherwise exist once in each.
 *
 *     mod.ts       invariants, addresses, counts and durations as text, the shape of a tag
 *     suggest.ts   "did you mean"
 *     fresh.ts     maps and sets for what comes and goes by the thousand
 *     webhook.ts   an address of the web that a file may name
 *
 * Invariant: nothing here knows what Titan is; nothing here does I/O, and a browser
 * can load it.
 * Test: test/base.test.ts
 */
export { FreshMap, FreshSet } from "./fresh.ts";
export { didYouMean, editDistance, hint } from "./suggest.ts";
export { webhookProblem, webhookShown, webhookVariable } from "./webhook.ts";

/**
 * Stops the process for what only a bug of our own can break. Bytes from peers, files and people
 * get a typed error instead, long before they come to an invariant.
 *
 * Where it is called for every job, a text with values in it is a function: it is then put together
 * only when it is needed, which costs more than the check.
 */
export function invariant(ok: unknown, why: string | (() => string)): asserts ok {
  if (!ok) throw new Error(`Invariant broken: ${typeof why === "string" ? why : why()}`);
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, as people and URLs write it: an IPv6 address is in brackets. */
export function hostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** 127.0.0.0/8, written as four plain numbers. */
const LOOPBACK_V4 = /^127(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/;

/**
 * Whether only this machine can get there: 127.0.0.0/8, ::1 and the name that means them. A name
 * that merely begins with 127 is somebody else's.
 */
export function isLoopback(host: string): boolean {
  if (host === "localhost") return true;
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  return bare === "::1" || LOOPBACK_V4.test(bare);
}

/**
 * Where to dial a server that listens at `host`: one that listens everywhere is on loopback, too.
 */
export function dialable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

/** "1 job", "2 jobs", "3 retries". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** "0.4s", "12.3s", "4m 05s", "2h 03m", "3d 04h": two units at most. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 99.95) return `${seconds.toFixed(1)}s`;
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ${two((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d ${two((seconds % 86_400) / 3600)}h`;
}

/** Longest tag: it stands in tables and in file names of tools. */
export const MAX_TAG_CHARS = 64;
/** A tag: a capability of a worker, and what a job requires. */
export const TAG = new RegExp(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,${MAX_TAG_CHARS - 1}}$`);
