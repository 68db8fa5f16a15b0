/**
 * Lesson 19: output of jobs: as the bytes that they printed, or in pieces of JSON that say when a
 * piece came, and from which stream.
 *
 *     {"at":1764200000000,"stream":"stderr","text":"…"}
 *
 * A character that was cut by the end of a piece is put together again; bytes that are no text are
 * shown as U+FFFD. The other form has the bytes as they are.
 *
 * Test: test/http.output.test.ts
 */
import { StringDecoder } from "node:string_decoder";
import type { OutputChunk } from "#sdk";
import { Download, type Asked, type Route } from "./route.ts";
import { numberOf } from "./reads.ts";

const JSON_LINES = "application/x-ndjson; charset=utf-8";

export const OUTPUT: Route = {
  method: "GET", path: "/api/v1/runs/{run}/jobs/{job}/logs",
  summary: "What a job has printed, as a download of plain text.",
  query: {
    attempt: "the attempt (default: the latest)",
    follow: "1: go on until the attempt has ended",
    as: "json: a line of JSON for each piece, with its time and its stream",
  },
  run: readLogs,
};

async function readLogs({ client, path, query, signal }: Asked): Promise<Download> {
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
  return new Download(`${run}-${job}.log`, "text/plain; charset=utf-8", bytesOf(all));
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
