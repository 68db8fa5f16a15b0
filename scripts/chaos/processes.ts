/**
 * Which processes of this machine belong to a folder: those that name it in their environment, or
 * stand in it.
 *
 * Titan's own roles name it on their command line only, so a process that is found here is a job,
 * or was left behind by one.
 */
import { commandOf, pids, standsIn, statOf, textOf } from "../lib/proc.mjs";

export interface Found {
  readonly pid: number;
  readonly command: string;
}

/** A process that has ended and was not waited for has no command. */
export function processesOf(folder: string): Found[] {
  return pids()
    .filter((pid) => pid !== process.pid
      && (textOf(pid, "environ").includes(folder) || standsIn(pid, folder)))
    .map((pid) => ({ pid, command: commandOf(pid) }))
    .filter(({ command }) => command !== "");
}

/** Of a worker: the process that stays behind to end its jobs. There may be none yet. */
export function reapersOf(worker: number): number[] {
  return pids().filter((pid) => statOf(pid)?.parent === worker
    && /trap '' TERM INT HUP[\s\S]*kill -s KILL/.test(commandOf(pid)));
}
