/**
 * Lesson 19: output of jobs: as the bytes that they printed, or in pieces of JSON that say when a
 * piece came, and from which stream.
 *
 *     {"at":1764200000000,"stream":"stderr","text":"…"}
 *
 * A character that was cut by the end of a piece is put together again; bytes that are no text are
 * shown as U+FFFD. The other form has the bytes themselves.
 *
 * Test: test/http.output.test.ts
 */
import { StringDecoder } from "node:string_decoder";
import {
  history, live, readingsOf, type JobLine, type OutputChunk,
} from "#sdk";
import { Download, type Asked, type Route } from "./route.ts";
import { numberOf } from "./reads.ts";

const JSON_LINES = "application/x-ndjson; charset=utf-8";
const TEXT = "text/plain; charset=utf-8";
const AS = "json: a line of JSON for each piece, with its time and its stream";

export const OUTPUT: readonly Route[] = [
  {
    method: "GET", path: "/api/v1/runs/{run}/jobs/{job}/logs",
    summary: "What a job has printed, as a download of plain text.",
    query: {
      attempt: "the attempt (default: the latest)",
      follow: "1: go on until the attempt has ended", as: AS,
    },
    run: readJob,
  },
  {
    method: "GET", path: "/api/v1/runs/{run}/logs",
    summary: "What the jobs of a run have printed, line by line, in the order of time.",
    query: { follow: "1: go on until the run has ended", as: AS },
    run: readRun,
  },
];

async function readJob({ client, path, query, signal }: Asked): Promise<Download> {
  const [run, job] = [path["run"]!, path["job"]!];
  const attempt = numberOf(query, "attempt", { usual: 0, max: 2 ** 32 - 1 });
  const follow = query.get("follow") === "1";
  const chunks = client.logs(run, job, { attempt, follow, signal });
  // An unknown job, or attempt, is an answer of its own and no empty file.
  if (follow) await client.status(run, job);
  const first = follow ? undefined : await chunks.next();
  const all = from(chunks, first);
  if (query.get("as") === "json") {
    return new Download(`${run}-${job}.ndjson`, JSON_LINES, piecesOf(all));
  }
  return new Download(`${run}-${job}.log`, TEXT, bytesOf(all));
}

async function* from(
  chunks: AsyncGenerator<OutputChunk>, first: IteratorResult<OutputChunk> | undefined,
): AsyncGenerator<OutputChunk> {
  if (first?.done === true) return;
  if (first !== undefined) yield first.value;
  yield* chunks;
}

async function* bytesOf(chunks: AsyncIterable<OutputChunk>): AsyncGenerator<Uint8Array> {
  for await (const { data } of chunks) yield data;
}

async function* piecesOf(chunks: AsyncIterable<OutputChunk>): AsyncGenerator<Uint8Array> {
  const decoders = { stdout: new StringDecoder("utf8"), stderr: new StringDecoder("utf8") };
  let at = 0;
  const line = (stream: OutputChunk["stream"], text: string): Uint8Array[] =>
    text === "" ? [] : [Buffer.from(`${JSON.stringify({ at, stream, text })}\n`)];
  for await (const { stream, data, at: time } of chunks) {
    at = time;
    yield* line(stream, decoders[stream].write(data));
  }
  for (const stream of ["stdout", "stderr"] as const) {
    yield* line(stream, decoders[stream].end());
  }
}

async function readRun({ client, path, query, signal }: Asked): Promise<Download> {
  const run = path["run"]!;
  const { jobs } = await client.status(run);
  const isJson = query.get("as") === "json";
  const follow = query.get("follow") === "1";
  const readings = readingsOf(jobs, 0);
  const running = new Set(jobs.filter(({ status }) => status === "RUNNING").map(({ id }) => id));
  const goesOn = ({ job }: { job: string }): boolean => follow && running.has(job);
  const lines = async function* (): AsyncGenerator<JobLine> {
    yield* history({ client, run, readings, goesOn });
    if (!follow) return;
    const known = new Map(readings.map((reading) => [reading.job, reading]));
    yield* printed((print) => live({ client, run, readings: known, print, signal }), signal);
  };
  return isJson ? new Download(`${run}.ndjson`, JSON_LINES, textsOf(lines(), asJson))
    : new Download(`${run}.log`, TEXT, textsOf(lines(), ({ job, text }) => `${job}: ${text}\n`));
}

function asJson({ at, stream, job, text }: JobLine): string {
  return `${JSON.stringify({ at, stream, job, text: `${text}\n` })}\n`;
}

async function* textsOf(
  lines: AsyncIterable<JobLine>, write: (line: JobLine) => string,
): AsyncGenerator<Uint8Array> {
  for await (const line of lines) yield Buffer.from(write(line));
}

/** What `work` prints, one line at a time: it goes on when a line has been taken. */
async function* printed(
  work: (print: (line: JobLine) => Promise<void>) => Promise<void>, signal: AbortSignal,
): AsyncGenerator<JobLine> {
  const waiting: { line: JobLine; taken(): void }[] = [];
  let wake: () => void = () => undefined;
  let isOver = false;
  const done = work((line) => new Promise((taken) => {
    waiting.push({ line, taken });
    wake();
  })).finally(() => {
    isOver = true;
    wake();
  });
  done.catch(() => undefined); // awaited below
  signal.addEventListener("abort", () => wake(), { once: true });
  while (!signal.aborted) {
    const next = waiting.shift();
    if (next !== undefined) {
      yield next.line;
      next.taken();
    } else if (isOver) break;
    else await new Promise<void>((resolve) => (wake = resolve));
  }
  if (!signal.aborted) await done;
}
