/**
 * Lesson 19: output as the master's port streams it, into lines.
 *
 *     {"at":1764200000000,"stream":"stderr","text":"…","next":812}    a line of JSON for each piece
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import type { LogLines } from "./lines.ts";

interface Piece {
  readonly at: number;
  readonly stream: string;
  readonly text: string;
  /** Where to go on behind it, in the log of one job. */
  readonly next?: number;
  /** In the log of several jobs. */
  readonly job?: string;
}

export interface Loading {
  readonly path: string;
  readonly lines: LogLines;
  /** The jobs of a merged log, by their numbers as sources. */
  readonly jobs: string[];
  readonly signal: AbortSignal;
  /** Something has been added. `next`: where to go on, if one can. */
  onMore(next: number | undefined): void;
}

/** Resolves when all of it is there. @throws what went wrong, in words */
export async function loadLog({ path, lines, jobs, signal, onMore }: Loading): Promise<void> {
  const response = await fetch(path, { signal, cache: "no-store" });
  if (!response.ok) {
    const text = await response.text();
    throw new Error(messageOf(text) ?? `The master answered ${response.status}`);
  }
  const encoder = new TextEncoder();
  const sources = new Map(jobs.map((job, at) => [job, at]));
  const sourceOf = (job: string | undefined): number => {
    if (job === undefined) return 0;
    const known = sources.get(job);
    if (known !== undefined) return known;
    sources.set(job, jobs.length);
    jobs.push(job);
    return jobs.length - 1;
  };
  let goOn: number | undefined;
  const add = (line: string): void => {
    if (line === "") return;
    const { at, stream, text, job, next } = JSON.parse(line) as Piece;
    goOn = next;
    lines.append({
      data: encoder.encode(text), isError: stream === "stderr", at, source: sourceOf(job),
    });
  };
  let rest = "";
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value = "" } = await reader.read();
    if (done) break;
    const whole = (rest + value).split("\n");
    rest = whole.pop()!;
    for (const line of whole) add(line);
    if (whole.length > 0) onMore(goOn);
  }
  add(rest);
  onMore(goOn);
}

function messageOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { error: { message: string } }).error.message;
  } catch {
    return undefined;
  }
}
