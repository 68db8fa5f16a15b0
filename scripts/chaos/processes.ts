/**
 * Which processes of this machine belong to a folder: those that name it in their environment, or
 * stand in it.
 *
 * Titan's own roles name it on their command line only, so a process that is found here is a job,
 * or was left behind by one.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface Found {
  readonly pid: number;
  readonly command: string;
}

/** Needs /proc; processes that end meanwhile, or belong to somebody else, are passed over. */
export function processesOf(folder: string): Found[] {
  return pids()
    .filter(
      (pid) => pid !== process.pid && (environment(pid).includes(folder) || standsIn(pid, folder)),
    )
    .map((pid) => ({ pid, command: commandLine(pid) }))
    .filter(({ command }) => command !== "");
}

/** Of a worker: the process that stays behind to end its jobs. There may be none yet. */
export function reapersOf(worker: number): number[] {
  return pids().filter(
    (pid) =>
      parentOf(pid) === worker && /trap '' TERM INT HUP[\s\S]*kill -s KILL/.test(commandLine(pid)),
  );
}

function pids(): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // gone, or not ours to see
  }
}

function environment(pid: number): string {
  return read(`/proc/${pid}/environ`);
}

/** Empty for a process that has ended and was not waited for. */
function commandLine(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
}

function parentOf(pid: number): number {
  return Number(read(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ")[1]);
}

function standsIn(pid: number, folder: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
  } catch {
    return false;
  }
}
