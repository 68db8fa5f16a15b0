/**
 * Lesson 19: output of jobs: as the bytes that they printed, in pieces of JSON that say when each
 * of them came and from which stream, or as lines that somebody has chosen.
 *
 *     {"at":1764200000000,"stream":"stderr","text":"…","next":812}
 *
 * `next` is where to go on: `from=812` has all that comes behind this piece, so that a reader who
 * was cut off reads nothing twice. A character that was cut by the end of a piece is put together
 * again; bytes that are no text are shown as U+FFFD. The other form has the bytes themselves.
 *
 * Left out: a search by pattern. A pattern of a few characters can take a year, and this is the
 * master's own process; `titan logs --grep` and the page search where they run.
 * Test: test/http.output.test.ts
 */
import {
  printChosen, Tail, type JobLine, type OutputChunk, type RunStatusReport, type Selection,
} from "#sdk";
import { Download, HttpError, type Asked, type Route } from "./route.ts";
import { numberOf } from "./reads.ts";

const JSON_LINES = "application/x-ndjson; charset=utf-8";
const TEXT = "text/plain; charset=utf-8";
const MAX_TAIL = 100_000;
/** What a tail holds in the master's memory while it looks for the end. */
const MAX_TAIL_CHARS = 4 * 1024 * 1024;

const CHOICE = {
  stream: "stdout or stderr: only what came from there",
  tail: `only so many lines at the end (at most ${MAX_TAIL}, and 4 MiB)`,
  since: "only lines that began at this time or later (ms since 1970)",
  text: "only lines that hold this text",
  times: "1: when each line began, in front of it",
  as: "json: a line of JSON for each piece or line, with its time and its stream",
};
/** Each of them makes lines out of the bytes of a job. */
const OF_LINES = ["tail", "since", "text", "times", "all"];

export const OUTPUT: readonly Route[] = [
  {
    method: "GET", path: "/api/v1/runs/{run}/jobs/{job}/logs",
    summary: "What a job has printed, as a download of plain text.",
    query: {
      attempt: "the attempt (default: the latest)", all: "1: all attempts, one after the other",
      follow: "1: go on until the attempt has ended",
      from: "only what comes behind so many bytes of both streams: `next` of a piece", ...CHOICE,
    },
    run: readJob,
  },
  {
    method: "GET", path: "/api/v1/runs/{run}/logs",
    summary: "What the jobs of a run have printed, line by line, in the order of time.",
    query: {
      attempt: "the attempt of each job (default: the latest)",
      follow: "1: go on until the run has ended", ...CHOICE,
    },
    run: readRun,
  },
];

interface Wanted {
  readonly attempt: number;
  readonly follow: boolean;
  readonly isJson: boolean;
  readonly hasTimes: boolean;
  readonly select: Selection;
  readonly tail: number | undefined;
}

/** @throws {HttpError} 400 */
function wantedOf({ query }: Asked): Wanted {
  const most = Number.MAX_SAFE_INTEGER;
  const since = numberOf(query, "since", { usual: 0, max: most });
  const stream = query.get("stream") ?? undefined;
  if (stream !== undefined && stream !== "stdout" && stream !== "stderr") {
    const found = JSON.stringify(stream.slice(0, 100));
    throw new HttpError(400, "BAD_REQUEST",
      `Cannot use stream=${found}: there are stdout and stderr`);
  }
  return {
    attempt: numberOf(query, "attempt", { usual: 0, max: 2 ** 32 - 1 }),
    follow: query.get("follow") === "1", isJson: query.get("as") === "json",
    hasTimes: query.get("times") === "1",
    select: { since, stream, text: query.get("text") ?? undefined },
    tail: query.has("tail") ? numberOf(query, "tail", { usual: 0, max: MAX_TAIL }) : undefined,
  };
}

/** Of the file, so that two downloads of one job are two files: `nightly-7k2m-train.2.stderr`. */
function nameOf(what: string, { attempt, select: { stream }, isJson }: Wanted): string {
  const parts = [what, attempt === 0 ? "" : `${attempt}`, stream ?? "", isJson ? "ndjson" : "log"];
  return parts.filter((part) => part !== "").join(".");
}

// ── one job ──────────────────────────────────────────────────────────────────────────────────────

async function readJob(asked: Asked): Promise<Download> {
  const { client, path, query, signal } = asked;
  const [run, job] = [path["run"]!, path["job"]!];
  const wanted = wantedOf(asked);
  const { attempt, follow, isJson, select: { stream } } = wanted;
  const name = nameOf(`${run}-${job}`, wanted);
  // An unknown job is an answer of its own, and no empty file.
  const known = await client.status(run, job);
  if (OF_LINES.some((each) => query.has(each))) {
    return linesOf(asked, { wanted, known, name });
  }
  const from = numberOf(query, "from", { usual: 0, max: Number.MAX_SAFE_INTEGER });
  const behindBytes = from === 0 ? undefined : from;
  const chunks = client.logs(run, job, { attempt, follow, from: behindBytes, signal });
  // So is an unknown attempt. One that is followed may not have begun.
  const first = follow ? undefined : await chunks.next();
  const pieces = behind(begun(chunks, first), from);
  return isJson ? new Download(name, JSON_LINES, piecesOf(pieces, stream))
    : new Download(name, TEXT, bytesOf(pieces, stream));
}

async function* begun<T>(
  rest: AsyncGenerator<T>, first: IteratorResult<T> | undefined,
): AsyncGenerator<T> {
  try {
    if (first?.done === true) return;
    if (first !== undefined) yield first.value;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

interface Behind extends OutputChunk {
  /** Bytes of the attempt up to its end, those included that are no longer kept. */
  readonly end: number;
}

async function* behind(chunks: AsyncIterable<OutputChunk>, from: number): AsyncGenerator<Behind> {
  let end = 0;
  for await (const chunk of chunks) {
    const before = end;
    // Words about what is no longer kept are no output of the job.
    end += chunk.dropped ?? chunk.data.length;
    if (end <= from) continue;
    const skip = chunk.dropped === undefined ? Math.max(0, from - before) : 0;
    yield { ...chunk, data: chunk.data.subarray(skip), end };
  }
}

type Stream = OutputChunk["stream"];

async function* bytesOf(
  chunks: AsyncIterable<Behind>, wanted: Stream | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const { stream, data } of chunks) {
    if (wanted === undefined || stream === wanted) yield data;
  }
}

async function* piecesOf(
  chunks: AsyncIterable<Behind>, wanted: Stream | undefined,
): AsyncGenerator<Uint8Array> {
  const held: Record<Stream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  let last = { at: 0, end: 0 };
  for await (const { stream, data, at, end } of chunks) {
    last = { at, end };
    if (wanted !== undefined && stream !== wanted) continue;
    const bytes = Buffer.concat([held[stream], data]);
    const rest = begunCharacter(bytes);
    held[stream] = bytes.subarray(bytes.length - rest);
    const text = bytes.toString("utf8", 0, bytes.length - rest);
    if (text !== "") yield jsonLine({ at, stream, text, next: end - rest });
  }
  for (const stream of ["stdout", "stderr"] as const) {
    const text = held[stream].toString("utf8");
    if (text !== "") yield jsonLine({ at: last.at, stream, text, next: last.end });
  }
}

/** How many bytes at the end are the beginning of a character of UTF-8. */
function begunCharacter(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue; // in the middle of one
    const whole = byte >= 0xf8 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return whole > back ? back : 0;
  }
  return 0;
}

function jsonLine(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

// ── lines ────────────────────────────────────────────────────────────────────────────────────────

async function readRun(asked: Asked): Promise<Download> {
  const wanted = wantedOf(asked);
  const run = asked.path["run"]!;
  if (wanted.attempt > 0 && wanted.follow) {
    throw new HttpError(400, "BAD_REQUEST", "Cannot follow attempts of a whole run: attempt and " +
      "follow go together for one job only");
  }
  const known = await asked.client.status(run);
  return linesOf(asked, { wanted, known, name: nameOf(run, wanted) });
}

interface Lines {
  readonly wanted: Wanted;
  readonly known: RunStatusReport;
  readonly name: string;
}

async function linesOf(
  { client, path, query, signal }: Asked, { wanted, known: { jobs }, name }: Lines,
): Promise<Download> {
  const { attempt, follow, isJson, hasTimes, select, tail } = wanted;
  const lines = printed((print) => printChosen({
    client, run: path["run"]!, jobs, job: path["job"], attempt, all: query.get("all") === "1",
    follow, select, signal, print,
    tail: tail === undefined ? undefined : new Tail<JobLine>(tail, MAX_TAIL_CHARS),
  }), signal);
  const asText = ({ at, job, text }: JobLine): Buffer => {
    const time = hasTimes ? `${new Date(at).toISOString()} ` : "";
    return Buffer.from(`${path["job"] === undefined ? `${job}: ` : ""}${time}${text}\n`);
  };
  const asJson = ({ at, stream, job, attempt: of, text }: JobLine): Buffer =>
    jsonLine({ at, stream, job, attempt: of, text: `${text}\n` });
  const first = follow ? undefined : await lines.next();
  return new Download(name, isJson ? JSON_LINES : TEXT,
    written(begun(lines, first), isJson ? asJson : asText));
}

async function* written(
  lines: AsyncIterable<JobLine>, write: (line: JobLine) => Buffer,
): AsyncGenerator<Uint8Array> {
  for await (const line of lines) yield write(line);
}

interface Waiting {
  readonly line: JobLine;
  taken(): void;
  refused(error: Error): void;
}

/** What `work` prints, one line at a time: it goes on when a line has been taken. */
async function* printed(
  work: (print: (line: JobLine) => Promise<void>) => Promise<void>, signal: AbortSignal,
): AsyncGenerator<JobLine> {
  const waiting: Waiting[] = [];
  let next: Waiting | undefined;
  let wake: () => void = () => undefined;
  let isOver = false;
  const done = work((line) => new Promise((taken, refused) => {
    waiting.push({ line, taken, refused });
    wake();
  })).finally(() => {
    isOver = true;
    wake();
  });
  done.catch(() => undefined); // awaited below
  signal.addEventListener("abort", () => wake(), { once: true });
  try {
    while (!signal.aborted) {
      next = waiting.shift();
      if (next !== undefined) {
        yield next.line;
        next.taken();
      } else if (isOver) break;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    if (!signal.aborted) await done;
  } finally {
    // Else what is read for them would be kept for ever.
    const gone = new Error("nobody reads these lines any more");
    for (const { refused } of [...(next === undefined ? [] : [next]), ...waiting]) refused(gone);
  }
}
