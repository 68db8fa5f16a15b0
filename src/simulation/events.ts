/**
 * Lesson 22: what a master left on disk, for the judge.
 *
 * Test: test/22-simulation.invariants.test.ts
 */
import type { Host } from "#host";
import { readLog } from "#log";

export interface LogEvents {
  /**
   * Number of the first of `bodies`. Above 1 when a snapshot has taken the place of what came
   * before.
   */
  readonly first: number;
  /** Encoded events, in order. */
  readonly bodies: readonly Buffer[];
  readonly snapshot?: { readonly seq: number; readonly parts: readonly Buffer[] };
}

/**
 * Reads a log folder (`STATE/log`) without changing it.
 *
 * @throws {LogError} if the master itself would refuse to start from it
 */
export async function readLogEvents(host: Host, dir: string): Promise<LogEvents> {
  const bodies: Buffer[] = [];
  const parts: Buffer[] = [];
  const { first, snapshot } = await readLog(host, dir, {
    record: (_seq, body) => void bodies.push(body),
    chunk: (chunk) => void parts.push(chunk),
  });
  return { first, bodies, ...(snapshot !== undefined && { snapshot: { seq: snapshot, parts } }) };
}
