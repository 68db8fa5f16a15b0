/**
 * Lesson 10: facts of the past as JSON, each with a sentence for people.
 *
 * Test: test/10-master.history.test.ts
 */
import { eventDetail, eventJson, eventText, runOf, type Event } from "#core";
import type { Fact } from "#wire";
import type { Written } from "./cursor.ts";
import type { PastNames } from "./names.ts";

/** Of a failure's message, or a comment: in a sentence. */
const MAX_DETAIL_CHARS = 200;

/** `#12 JobStarted hello-7k2m/greet#1 on w1 (number 1)` */
export function sentenceOf(seq: number, event: Event, names: PastNames): string {
  const detail = eventDetail(event).replace(/\s+/g, " ").trim();
  const short = detail.length > MAX_DETAIL_CHARS ? `${detail.slice(0, MAX_DETAIL_CHARS)}…` : detail;
  return `#${seq} ${eventText(event, names)}${short === "" ? "" : `: ${short}`}`;
}

/** `more`: other keys that it is to have. */
export function pastFact(
  { event, place: { seq } }: Written, names: PastNames, more: object = {},
): Fact {
  const text = sentenceOf(seq, event, names);
  const number = runOf(event);
  return {
    type: event.type, run: number === undefined ? undefined : names.run(number),
    text: JSON.stringify({ seq, ...eventJson(event, names), text, ...more }), times: 1,
  };
}
