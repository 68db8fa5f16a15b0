/**
 * Lesson 10: a state that stands at one place of the log, and goes on from there.
 *
 * Invariant: the state is what all records up to `seq` fold to.
 * Test: test/10-master.history.test.ts
 */
import { apply, Event, ownRuns, type State } from "#core";
import { type LogBlock, type LogPlace, type LogView, placeAfter } from "#log";
import { runsOf } from "./names.ts";

export interface Cursor {
  readonly state: State;
  /** The last fact that is in the state. */
  seq: number;
  /** Where the next one stands. */
  place: LogPlace;
}

/** A fact as it stands in the log. */
export interface Written {
  readonly event: Event;
  readonly place: LogPlace;
  readonly next: LogPlace;
  /** Of the log. */
  readonly bytes: number;
}

/** The facts of a block, one after another. */
export function* factsOf({ at, bodies }: LogBlock): Generator<Written> {
  let place = at;
  for (const body of bodies) {
    const next = placeAfter(place, body);
    yield { event: Event.decode(body), place, next, bytes: next.offset - place.offset };
    place = next;
  }
}

/** One fact further. */
export function stepOn(cursor: Cursor, { event, place, next }: Written): void {
  // A snapshot at the front may stand for records that are still there.
  if (place.seq > cursor.seq) {
    const isLast = event.type === "RunsForgotten" || event.type === "RunsLetGo";
    if (!isLast) ownRuns(cursor.state, event, runsOf(event));
    apply(cursor.state, event);
    cursor.seq = place.seq;
  }
  cursor.place = next;
}

/** On as long as `isIn` says that the next fact belongs to the moment, or to the end of the log. */
export async function goOn(
  cursor: Cursor, view: LogView, isIn: (seq: number, event: Event) => boolean, step = stepOn,
): Promise<void> {
  for await (const block of view.blocks(cursor.place)) {
    for (const fact of factsOf(block)) {
      if (!isIn(fact.place.seq, fact.event)) return;
      step(cursor, fact);
    }
  }
}
