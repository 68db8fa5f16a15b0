/**
 * Lesson 10: the state as the log has it, when a master starts.
 *
 * Invariant: a log that takes more memory than the process may have is refused before the memory is
 * full.
 * Test: test/10-master.memory.test.ts
 */
import { apply, Event, Forecast, SnapshotReader, State, weighPart } from "#core";
import type { Log } from "#log";

/** The log holds more than this process may. Nothing has been changed. */
export class NeedsMemory extends Error {
  /** What it takes, as the core counts memory. */
  readonly bytes: number;
  constructor(bytes: number) {
    super(`the state takes ${bytes} bytes`);
    this.name = "NeedsMemory";
    this.bytes = bytes;
  }
}

export interface Recovered {
  readonly state: State;
  /** Behind the snapshot. */
  readonly events: number;
}

/** @throws {NeedsMemory} with what it takes */
export async function recover(log: Log, ceiling: number): Promise<Recovered> {
  try {
    return await replay(log, ceiling);
  } catch (error) {
    if (!(error instanceof NeedsMemory)) throw error;
    throw new NeedsMemory(await forecast(log));
  }
}

// #region recover
/** Snapshot plus tail: the same `apply` as in daily life, with no observer and no effect. */
async function replay(log: Log, ceiling: number): Promise<Recovered> {
  const mayHold = (bytes: number): void => {
    if (bytes > ceiling) throw new NeedsMemory(bytes);
  };
  let state = new State();
  if (log.snapshot !== undefined) {
    const reader = new SnapshotReader();
    await log.readSnapshot((chunk) => {
      reader.part(chunk);
      mayHold(reader.bytes);
    });
    state = reader.finish();
  }
  let events = 0;
  await log.replay((_seq, body) => {
    apply(state, Event.decode(body));
    mayHold(state.bytes);
    events += 1;
  });
  return { state, events };
}
// #endregion

/** Reads all of it again, for the sum alone. */
async function forecast(log: Log): Promise<number> {
  const forecast = new Forecast();
  let run = 0;
  if (log.snapshot !== undefined) {
    await log.readSnapshot((chunk) => { run = weighPart(chunk, forecast, run); });
  }
  await log.replay((_seq, body) => forecast.event(Event.decode(body)));
  return forecast.peak;
}
