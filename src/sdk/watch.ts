/**
 * Lesson 10: the client's end of WATCH: pages in, one event per change out.
 *
 * A watch ends with the run, and fails with the connection. The caller may then watch again, and
 * starts with the whole state.
 *
 * Test: test/10-master.test.ts
 */
import type { RpcStream } from "#rpc";
import { WatchPage, type JobChange, type JobInfo, type RunInfo } from "#wire";

export type RunEvent =
  /** The whole run as it stands: at the start, and again after a gap. */
  | { readonly type: "snapshot"; readonly run: RunInfo; readonly jobs: readonly JobInfo[] }
  /** A job moved, or was added (then `change.id` is there). `job` is its id. */
  | { readonly type: "job"; readonly job: string; readonly change: JobChange }
  /** The run itself moved. After a terminal status nothing more comes. */
  | { readonly type: "run"; readonly run: RunInfo };

/** Turns pages into events; remembers the names, which travel once. */
export async function* readWatch(pages: RpcStream, signal?: AbortSignal): AsyncGenerator<RunEvent> {
  const leave = (): void => pages.cancel();
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave, { once: true });
  try {
    yield* readPages(pages);
  } finally {
    signal?.removeEventListener("abort", leave);
  }
}

async function* readPages(pages: AsyncIterable<Buffer>): AsyncGenerator<RunEvent> {
  let names: string[] = [];
  let jobs: JobInfo[] = [];
  let collecting = false;
  for await (const body of pages) {
    const page = WatchPage.decode(body);
    if (page.reset) {
      jobs = [];
      collecting = true;
    }
    jobs.push(...page.jobs);
    if (collecting) {
      if (page.run === undefined) continue; // its last page carries the run
      collecting = false;
      names = jobs.map((job) => job.id);
      yield { type: "snapshot", run: page.run, jobs };
      jobs = [];
      continue;
    }
    for (const change of page.changes) {
      if (change.id !== undefined) names[change.index] = change.id; // it is new
      yield { type: "job", job: names[change.index] ?? `#${change.index}`, change };
    }
    if (page.run !== undefined) yield { type: "run", run: page.run };
  }
}
