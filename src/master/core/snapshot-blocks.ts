/**
 * Lesson 10: cuts the jobs of a run, or their steps, into the blocks of a snapshot. A block is
 * encoded in one turn of the event loop, so blocks are neither many nor large.
 *
 * Test: test/10-master.memory.test.ts
 */

/** Jobs per block: large enough to be cheap, small enough for one message… */
export const BLOCK_JOBS = 1024;
/** …unless they are large: what takes longer than a few milliseconds keeps others waiting. */
export const BLOCK_BYTES = 4 * 1024 * 1024;

export function* blocks<T>(
  items: readonly T[], bytesOf: (item: T) => number,
): Generator<{ from: number; block: T[] }> {
  let from = 0;
  let bytes = 0;
  for (let index = 0; index < items.length; index++) {
    if (index - from === BLOCK_JOBS || bytes > BLOCK_BYTES) {
      yield { from, block: items.slice(from, index) };
      from = index;
      bytes = 0;
    }
    bytes += bytesOf(items[index]!);
  }
  if (from < items.length) yield { from, block: items.slice(from) };
}
