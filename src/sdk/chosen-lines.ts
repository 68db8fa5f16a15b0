/**
 * The output of a job or of a run as lines, and of these the ones that somebody wants: since a
 * time, of one stream, with a text, or the last of them.
 *
 *     history ─▶ chosen ─▶ the last N ─▶ print ─▶ live ─▶ chosen ─▶ print
 *
 * Test: test/cli.logs.test.ts, test/http.output.test.ts
 */
import type { JobInfo } from "#wire";
import type { Client } from "./client.ts";
import { isSelected, Tail, type Selection } from "./output-lines.ts";
import {
  followAttempt, history, live, Reading, readingsOf, type JobLine,
} from "./run-output.ts";

export interface ChosenLines {
  readonly client: Client;
  readonly run: string;
  /** Its jobs, or the one that is meant. */
  readonly jobs: readonly JobInfo[];
  /** Undefined: the lines of all jobs, by time. */
  readonly job: string | undefined;
  /** 0: the latest. */
  readonly attempt: number;
  /** Of one job: all its attempts so far, one after the other. */
  readonly all?: boolean;
  /** Until the attempt has ended, or the run. */
  readonly follow?: boolean;
  readonly select: Selection;
  /** Of what there is, only the last lines. */
  readonly tail?: Tail<JobLine> | undefined;
  /** Nobody reads it any more. */
  readonly signal?: AbortSignal | undefined;
  print(line: JobLine): Promise<void>;
}

export async function printChosen(wanted: ChosenLines): Promise<void> {
  const { client, run, jobs, job, attempt, all = false, follow = false, signal } = wanted;
  const running = new Set(jobs.filter(({ status }) => status === "RUNNING").map(({ id }) => id));
  const [{ attempt: latest = 0 } = {}] = jobs;
  const readings = all && job !== undefined
    ? Array.from({ length: latest }, (_, index) => new Reading(job, index + 1))
    : readingsOf(jobs, attempt);
  const print = async (line: JobLine): Promise<void> => {
    if (isSelected(line, wanted.select)) await wanted.print(line);
  };
  const goesOn = (reading: Reading): boolean => follow && running.has(reading.job);
  for await (const line of history({ client, run, readings, goesOn, signal })) {
    if (wanted.tail === undefined) await print(line);
    else if (isSelected(line, wanted.select)) wanted.tail.push(line);
  }
  for (const line of wanted.tail?.lines() ?? []) await wanted.print(line);
  if (!follow) return;
  const known = new Map(readings.map((reading) => [reading.job, reading]));
  const following = { client, run, readings: known, print, signal };
  if (job === undefined) return live(following);
  await followAttempt(readings.at(-1) ?? new Reading(job, attempt), following);
}
