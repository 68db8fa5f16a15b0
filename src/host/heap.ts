/**
 * Lesson 03: how much memory V8 gives to what lives long.
 *
 * V8's own number, `heap_size_limit`, is a sum: the room for objects that live, which is what
 * `--max-old-space-size` names, and the room for new ones, which are three halves of a nursery. The
 * second has grown with V8, and what is kept cannot have it. A master that counted on it would
 * take more runs than fit, and would be ended by V8 in the middle of its next start.
 *
 *     with --max-old-space-size=256     Node 20 and 22     Node 24     Node 26
 *     heap_size_limit                   304 MB             448 MB      352 MB
 *     heapLimit()                       304 MB             304 MB      304 MB
 *
 * Test: test/03-host.heap.test.ts
 */
import { getHeapStatistics } from "node:v8";

/** With this much for new ones the shares of a heap were measured (src/master/core/memory.ts). */
const MEASURED_YOUNG_MB = 48;
/** What V8 keeps for them by default, by its major number. */
const YOUNG_MB: Readonly<Record<string, number>> = { 11: 48, 12: 48, 13: 192, 14: 96 };
/** Of one that is not known: the most that any of them keeps. */
const MOST_YOUNG_MB = 192;

/** In bytes. Somebody who sets `--max-semi-space-size` moves it by what they set. */
export function heapLimit(
  limit = getHeapStatistics().heap_size_limit, v8: string | undefined = process.versions.v8,
): number {
  const major = v8?.split(".")[0] ?? "";
  const more = (YOUNG_MB[major] ?? MOST_YOUNG_MB) - MEASURED_YOUNG_MB;
  return Math.max(0, limit - more * 2 ** 20);
}
