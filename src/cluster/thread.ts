/**
 * A thread that runs a program of this folder, and how much memory it gets.
 *
 * From the build a thread is a file. From the sources it needs our loader, which Node 20 does not
 * give to threads, so a line of JavaScript brings the loader along.
 *
 * Test: test/cli.store.test.ts
 */
import { totalmem } from "node:os";
import { Worker } from "node:worker_threads";

export interface ThreadOptions {
  readonly heapMb: number;
  /** For new objects. Default: as V8 has it. */
  readonly youngMb?: number;
  readonly workerData?: unknown;
}

export function newThread(
  program: "store-thread" | "past-thread", { heapMb, youngMb, workerData }: ThreadOptions,
): Worker {
  const limits = {
    maxOldGenerationSizeMb: heapMb, ...(youngMb && { maxYoungGenerationSizeMb: youngMb }),
  };
  const options = { env: {}, workerData, resourceLimits: limits };
  if (import.meta.url.endsWith(".js")) return new Worker(built(program), options);
  const file = JSON.stringify(new URL(`./${program}.ts`, import.meta.url).href);
  const loader = JSON.stringify(import.meta.resolve("tsx/esm/api"));
  const start = `import(${loader}).then(({ register }) => (register(), import(${file})))`;
  return new Worker(start, { ...options, eval: true });
}

/** Each is named in full: a bundle has what is named. */
function built(program: "store-thread" | "past-thread"): URL {
  return program === "store-thread" ? new URL("./store-thread.js", import.meta.url)
    : new URL("./past-thread.js", import.meta.url);
}

/** So much of what this process may have, in MB. */
export function shareOfMemory(share: number, { leastMb }: { leastMb: number }): number {
  const allowed = process.constrainedMemory();
  const bytes = allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
  return Math.max(leastMb, Math.floor(bytes * share / 2 ** 20));
}
