/**
 * Lesson 12: the journal of live process groups, for the worker that starts after one that was
 * killed.
 *
 *     + 4711 88213004 5c1f…   a group: its leader's pid, when that started, in which boot
 *     - 4711                  the group is gone
 *
 * One line per launcher, not per job; a process that is no launcher has its own.
 *
 * Invariants: a launcher is in the journal before its first job; the boot comes last and has a
 * fixed length, so a torn line names no process. A journal that cannot be written stops no job:
 * processes can also be found by their environment (orphans.ts).
 * Left out: fsync. The journal must outlive this process, but not the machine: a power loss ends
 * the groups, too.
 * Test: test/12-membership.orphans.test.ts
 */
import { closeSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { readEntry } from "./sweep.ts";
import { readSmall } from "#host";

/**
 * Beyond this size, and twice the size of the live entries, the journal is written anew: after a
 * year a worker needs no more disk than at first.
 */
const COMPACT_BYTES = 64 * 1024;
/**
 * 4096 slots, a group each, 60 bytes a line, and twice that before it is compacted: a longer file
 * is not ours.
 */
const MAX_JOURNAL_BYTES = 1024 * 1024;
/** `pid start boot`, whole. Leading zeros would make two texts of one number. */
const ADDED = /^\+ ([1-9]\d{0,9}) ([1-9]\d{0,15}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const REMOVED = /^- ([1-9]\d{0,9})$/;

/** The values that tell a process from every other that has, had or will have its number. */
export interface Birth {
  /** Clock ticks since boot. */
  readonly start: number;
  readonly boot: string;
}

/** The id of this boot of the machine; undefined where the system does not tell. */
export function bootId(): string | undefined {
  try {
    return (boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim());
  } catch {
    return undefined;
  }
}
let boot: string | undefined;

/** Groups that live, with their lines. */
const live = new Map<number, string>();
let journal: { readonly path: string; file: number; bytes: number; torn: boolean } | undefined;

/**
 * From now on the file `path` names the process groups of this process, including those that live
 * now.
 */
export function journalProcesses(path: string): void {
  if (journal) closeSync(journal.file);
  journal = { path, file: openSync(path, "a", 0o600), bytes: 0, torn: false };
  for (const line of live.values()) note(line);
}

/** Notes a group that must not outlive this process. */
export function noteGroup(pid: number): void {
  const [entry, boot] = [readEntry(pid), bootId()];
  // Without a start time the line would name only a number, and that may be another process later.
  if (entry === undefined || boot === undefined) return;
  const line = `+ ${pid} ${entry.start} ${boot}\n`;
  live.set(pid, line);
  note(line);
}

export function noteGone(pid: number): void {
  if (live.delete(pid)) note(`- ${pid}\n`);
}

function note(line: string): void {
  if (journal === undefined) return;
  try {
    const text = journal.torn ? `\n${line}` : line;
    journal.torn = true; // until the whole line is there: the disk may be full
    const written = writeSync(journal.file, text);
    journal.torn = written < text.length;
    journal.bytes += written;
    if (isWasteful(journal.bytes, live.values())) compact(journal);
  } catch {
    // See the head of this file.
  }
}

/** Whether a journal of so many bytes is written anew, with these lines. */
export function isWasteful(bytes: number, lines: Iterable<string>): boolean {
  if (bytes <= COMPACT_BYTES) return false;
  let needed = 0;
  for (const line of lines) needed += line.length;
  return bytes >= 2 * needed;
}

function compact(journal: { readonly path: string; file: number; bytes: number }): void {
  const text = [...live.values()].join("");
  const next = `${journal.path}.next`;
  writeFileSync(next, text, { mode: 0o600 });
  const file = openSync(next, "a");
  renameSync(next, journal.path); // so there is a journal at every moment
  closeSync(journal.file);
  Object.assign(journal, { file, bytes: text.length });
}

/**
 * The groups that are alive according to a journal. Lines that we could not have written are
 * ignored.
 */
export function readJournal(path: string): Map<number, Birth> {
  try {
    const bytes = readSmall(path, MAX_JOURNAL_BYTES);
    return Buffer.isBuffer(bytes) ? parseJournal(bytes.toString("latin1")) : new Map();
  } catch {
    return new Map(); // it is a folder or a pipe, or not readable
  }
}

/** Reads a journal's text. A last line without a line feed may be half a line. */
export function parseJournal(text: string): Map<number, Birth> {
  const groups = new Map<number, Birth>();
  for (const line of text.split("\n").slice(0, -1)) {
    const added = ADDED.exec(line);
    if (added) groups.set(Number(added[1]), { start: Number(added[2]), boot: added[3]! });
    const removed = REMOVED.exec(line);
    if (removed) groups.delete(Number(removed[1]));
  }
  return groups;
}
