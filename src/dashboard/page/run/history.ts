/**
 * Lesson 19: what has happened to a run before the page looked: the facts of the log from its
 * beginning, read once from the stream of events, which answers a gap exactly.
 *
 *     hello   fact 3   fact 9   …   nothing more for a moment   ──▶  the gap is told; close
 *
 * If the log has been compacted there is a snapshot instead, and the first facts are gone.
 *
 * Test: test/19-dashboard.run.view.test.ts
 */
import type { Fact } from "../rows.ts";
import { SseReader } from "../sse.ts";

export interface History {
  readonly facts: readonly Fact[];
  /** The log begins later than the run does. */
  readonly isCut: boolean;
}

/** The facts of a gap come without a pause. */
const QUIET_MS = 300;
const MAX_FACTS = 20_000;

export async function readHistory(run: string): Promise<History> {
  const control = new AbortController();
  const found = new HistoryReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const path = `/api/v1/events?run=${encodeURIComponent(run)}&lastEventId=0`;
    const response = await fetch(path, { signal: control.signal });
    if (!response.ok || response.body === null) return { facts: [], isCut: true };
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    while (!found.isOver) {
      clearTimeout(timer);
      timer = setTimeout(() => control.abort(), QUIET_MS);
      const { done, value = "" } = await reader.read();
      if (done) break;
      found.read(value);
    }
  } catch {
    // It is quiet, or the connection broke: told as far as it came.
  } finally {
    clearTimeout(timer);
    control.abort();
  }
  return found.history;
}

/** Keeps the facts of a stream. Pure. */
export class HistoryReader {
  readonly #messages = new SseReader();
  readonly #facts: Fact[] = [];
  #isCut = false;
  /** There is nothing more to come that it would keep. */
  isOver = false;

  read(piece: string): void {
    for (const { event, data } of this.#messages.read(piece)) {
      if (event === "fact") this.#facts.push(JSON.parse(data) as Fact);
      else if (event === "snapshot") this.#isCut = true;
      this.isOver = this.#isCut || this.#facts.length >= MAX_FACTS;
      if (this.isOver) return;
    }
  }

  get history(): History {
    return { facts: this.#facts, isCut: this.#isCut };
  }
}

/** The history, and what the page has seen itself since then, each fact once. */
export function allFacts(
  run: string, history: History | undefined, live: readonly Fact[],
): readonly Fact[] {
  const own = (history?.facts ?? []).filter((fact) => fact.run === run);
  const last = own.at(-1)?.seq ?? -1;
  return [...own, ...live.filter(({ seq }) => seq > last)];
}
