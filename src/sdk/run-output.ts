/**
 * The output of many jobs as one stream of lines, in time order as far as times are known.
 *
 *     history   jobs by their start; a job is opened once the lines before its start have gone
 *               out: a k-way merge
 *     live      the watch says which attempt begins; each attempt is followed on its own, and its
 *               lines go out as they come
 *
 * Times come from the clocks of the workers, so the order of lines of two machines is as good as
 * their clocks are.
 *
 * Invariants: each line once, and in a job in the order in which it was printed; at most MAX_OPEN
 * outputs are read at once.
 * Left out: attempts before the latest of a job, unless it is named or begins while somebody
 * follows.
 * Test: test/cli.logs.test.ts
 */
import { RpcError } from "#rpc";
import { droppedChunk, type JobInfo } from "#wire";
import type { Client } from "./client.ts";
import { LineReader, type Line } from "./output-lines.ts";

/** Each costs 256 KiB of window here and a request there; a master serves 1,024 per connection. */
const MAX_OPEN = 64;
/** Running jobs that are followed at once. Beyond this an output waits until another has ended. */
const MAX_FOLLOWED = 512;

export interface JobLine extends Line {
  readonly job: string;
  readonly attempt: number;
}

/** How far the output of one attempt has been read. */
export class Reading {
  readonly job: string;
  readonly attempt: number;
  readonly startedAt: number;
  /**
   * Bytes of both streams together: the master keeps them in one order. Those count that it no
   * longer kept.
   */
  bytes = 0;
  isOver = false;
  readonly #lines = new LineReader();

  constructor(job: string, attempt: number, startedAt = 0) {
    this.job = job;
    this.attempt = attempt;
    this.startedAt = startedAt;
  }

  /** Reads on from where it stopped. */
  async *read(
    client: Client,
    run: string,
    options: { follow: boolean; signal?: AbortSignal | undefined },
  ): AsyncGenerator<JobLine[], void> {
    const { job, attempt } = this;
    const { follow, signal } = options;
    let skip = this.bytes;
    const from = skip === 0 ? undefined : skip;
    for await (const chunk of client.logs(run, job, { attempt, follow, from, signal })) {
      if (chunk.dropped !== undefined) {
        const known = Math.min(skip, chunk.dropped);
        skip -= known;
        if (known < chunk.dropped) yield this.#missed(chunk.dropped - known, chunk.at);
        continue;
      }
      const data = chunk.data.subarray(Math.min(skip, chunk.data.length));
      skip -= chunk.data.length - data.length;
      if (data.length === 0) continue;
      this.bytes += data.length;
      yield this.#named(this.#lines.take({ ...chunk, data }));
    }
  }

  /** The words about it are no output, and do not count. */
  #missed(bytes: number, at: number): JobLine[] {
    const note = droppedChunk(bytes, { isFirst: this.bytes === 0, at });
    this.bytes += bytes;
    return this.#named(this.#lines.take(note));
  }

  /** Nothing more comes. */
  end(): JobLine[] {
    this.isOver = true;
    return this.#named(this.#lines.end());
  }

  #named(lines: Line[]): JobLine[] {
    const { job, attempt } = this;
    return lines.map((line) => ({ ...line, job, attempt }));
  }
}

/** The attempts to read: the latest of each job, or the one that is named. */
export function readingsOf(jobs: readonly JobInfo[], attempt: number): Reading[] {
  const begun = jobs.filter((job) => job.attempt >= Math.max(1, attempt));
  return begun.map((job) => {
    const isLatest = attempt === 0 || attempt === job.attempt;
    return new Reading(job.id, isLatest ? job.attempt : attempt, isLatest ? job.startedAt : 0);
  });
}

interface Source {
  readonly reading: Reading;
  readonly pages: AsyncGenerator<JobLine[], void>;
  lines: JobLine[];
  at: number;
}

export interface HistoryOptions {
  readonly client: Client;
  readonly run: string;
  readonly readings: readonly Reading[];
  /** The output will be read on: a line without an end waits for the rest. */
  readonly goesOn: (reading: Reading) => boolean;
  /** Nobody reads it any more. */
  readonly signal?: AbortSignal | undefined;
}

/** All output so far, merged by time. */
export async function* history(options: HistoryOptions): AsyncGenerator<JobLine, void> {
  const { client, run, signal } = options;
  const waiting = [...options.readings].sort((a, b) => b.startedAt - a.startedAt);
  const open = new Set<Source>();
  try {
    for (;;) {
      let first = earliest(open);
      while (waiting.length > 0 && open.size < MAX_OPEN) {
        if (first !== undefined && waiting.at(-1)!.startedAt > timeOf(first)) break;
        const reading = waiting.pop()!;
        const pages = reading.read(client, run, { follow: false, signal });
        const source: Source = { reading, pages, lines: [], at: 0 };
        if (await fill(source, options)) open.add(source);
        first = earliest(open);
      }
      if (first === undefined) return;
      yield first.lines[first.at++]!;
      if (first.at === first.lines.length && !(await fill(first, options))) open.delete(first);
    }
  } finally {
    // Somebody has read enough: the master need not keep their places.
    for (const { pages } of open) await pages.return();
  }
}

const timeOf = (source: Source): number => source.lines[source.at]!.at;

function earliest(open: ReadonlySet<Source>): Source | undefined {
  let first: Source | undefined;
  for (const source of open) {
    if (first === undefined || timeOf(source) < timeOf(first)) first = source;
  }
  return first;
}

/** Gets the next lines of a source; false: there are no more. */
async function fill(source: Source, { goesOn }: HistoryOptions): Promise<boolean> {
  source.at = 0;
  for (;;) {
    const page = await source.pages.next();
    if (!page.done) source.lines = page.value;
    else source.lines = goesOn(source.reading) ? [] : source.reading.end();
    if (source.lines.length > 0) return true;
    if (page.done) return false;
  }
}

export interface LiveOptions {
  readonly client: Client;
  readonly run: string;
  /** How far the history has read, by job. */
  readonly readings: ReadonlyMap<string, Reading>;
  print(line: JobLine): Promise<void>;
  /** Nobody reads it any more. */
  readonly signal?: AbortSignal | undefined;
}

/** Follows every attempt that runs or begins, until the run ends. */
export async function live(options: LiveOptions): Promise<void> {
  const { client, run, readings, signal } = options;
  /** The latest attempt of each job that has been read or is being followed. */
  const known = new Map<string, number>();
  const followed = new Set<Promise<void>>();
  const follow = async (reading: Reading): Promise<void> => {
    known.set(reading.job, reading.attempt);
    while (followed.size >= MAX_FOLLOWED) await Promise.race(followed);
    const work = followAttempt(reading, options).finally(() => followed.delete(work));
    work.catch(() => undefined); // awaited below, or by the follower that waits for room
    followed.add(work);
  };
  const moved = async (job: string, attempt: number): Promise<void> => {
    const before = readings.get(job);
    if (!known.has(job) && before !== undefined) {
      if (before.isOver) known.set(job, before.attempt);
      else await follow(before);
    }
    // A watch may miss steps: attempts that began and ended meanwhile have printed something, too.
    for (let next = (known.get(job) ?? 0) + 1; next <= attempt; next++) {
      await follow(new Reading(job, next));
    }
  };
  for await (const event of client.watch(run, { signal })) {
    if (event.type === "job") await moved(event.job, event.change.attempt);
    if (event.type === "snapshot") {
      for (const { id, attempt } of event.jobs) await moved(id, attempt);
    }
  }
  await Promise.all(followed);
}

/** Follows one attempt to its end. */
export async function followAttempt(
  reading: Reading,
  { client, run, print, signal }: LiveOptions,
): Promise<void> {
  try {
    for await (const lines of reading.read(client, run, { follow: true, signal })) {
      for (const line of lines) await print(line);
    }
    for (const line of reading.end()) await print(line);
  } catch (error) {
    // The run was forgotten meanwhile, and its output with it.
    if (!(error instanceof RpcError && error.code === "NOT_FOUND")) throw error;
  }
}
