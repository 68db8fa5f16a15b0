/**
 * `titan logs`: the output of one job, byte for byte; or of all jobs of a run, a line at a time,
 * in the order of time.
 *
 * Test: test/cli.logs.test.ts
 */
import { RpcError } from "#rpc";
import {
  Pieces, printChosen, Tail, type Client, type JobLine, type Piece, type Selection,
} from "#sdk";
import { isAtGate, isTerminal, type JobInfo } from "#wire";
import { openClient } from "../address.ts";
import type { Call, Command } from "../command.ts";
import type { Color, Context } from "../context.ts";
import { EXIT, UsageError } from "../exit.ts";
import { notBegunText } from "../not-begun.ts";
import { parseRef, withRun } from "../refs.ts";
import { clip, pad, width } from "../text.ts";

const MAX_ATTEMPT = 2 ** 32 - 1;
/** More lines than anybody scrolls through; fewer than would fill the memory if they are short. */
const MAX_TAIL = 1_000_000;
const MAX_NAME_CELLS = 32;
/** Of one job: its output comes line by line then, and else byte for byte. */
const LINE_FLAGS = ["tail", "since", "grep", "stream", "timestamps"];
const STREAMS: readonly string[] = ["stdout", "stderr"];
/** Neighbours differ. Red and dim have another meaning elsewhere. */
const NAME_COLORS: readonly Color[] = ["cyan", "yellow", "green", "magenta", "blue"];

export const logs: Command = {
  name: "logs",
  summary: "what a job printed, or all jobs of a run; -f follows",
  usage: "RUN[/JOB]",
  args: [1, 1],
  flags: {
    follow: { type: "boolean", short: "f", summary: "go on until the job ends, or the run" },
    tail: { type: "string", value: "N", summary: "only the last N lines, of all jobs together" },
    since: {
      type: "string",
      value: "WHEN",
      summary: "only lines since 10m ago, or since a time (2026-03-01T14:05)",
    },
    grep: {
      type: "string",
      value: "REGEX",
      summary: "only lines that match (JavaScript's syntax; (A|a)ny for either)",
    },
    stream: { type: "string", value: "NAME", summary: "only lines of stdout, or of stderr" },
    timestamps: { type: "boolean", summary: "when each line was printed, in front of it (UTC)" },
    attempt: { type: "string", value: "N", summary: "of an earlier attempt (default: the latest)" },
    all: { type: "boolean", summary: "of all attempts, one after the other" },
  },
  notes: [
    "RUN/JOB: its stdout comes to stdout and its stderr to stderr, unchanged; with --tail, " +
      "--since, --grep, --stream or --timestamps whole lines of it.",
    "RUN: all jobs, each line behind the name of its job, in the order of time, all on stdout. " +
      "With -f also the jobs and attempts that begin later.",
    "A job that was tried again, or that waited for something, has an output for each attempt. " +
      "--all prints all of them, and -f goes on with those that come; a line on stderr tells " +
      "where one begins.",
    "With --json each piece is a line: stream, at (ms since 1970), and data (text, or base64 " +
      "where it is no UTF-8). Where older output of a service was dropped, also dropped, in bytes.",
  ],
  examples: [
    "titan logs nightly-7k2m/train -f",
    "titan logs @latest",
    "titan logs nightly --since 10m --grep 'error|warn' --timestamps",
    "titan logs nightly/train --attempt 1 2>/dev/null",
  ],
  async run(call: Call): Promise<number> {
    const { run: typed, job } = parseRef(call.args[0]!);
    const attempt = call.count("attempt", { min: 1, max: MAX_ATTEMPT }) ?? 0;
    const select = await selectionOf(call);
    if (job === undefined && attempt > 0 && call.on("follow")) {
      throw new UsageError(
        "Cannot follow attempts of a whole run: --attempt and -f go together for RUN/JOB only",
      );
    }
    if (call.on("all") && (job === undefined || attempt > 0)) {
      throw new UsageError("Cannot use --all: it is for RUN/JOB, without --attempt");
    }
    const client = await openClient(call);
    const isRaw =
      job !== undefined && !LINE_FLAGS.some((flag) => call.on(flag));
    await withRun(client, typed, async (run) => {
      if (job !== undefined && attempt === 0) await noteNotBegun(call, client, { run, job });
      if (isRaw) return copyAttempts(call, client, { run, job, attempt });
      return printLines(call, client, { run, job, attempt, select });
    });
    return EXIT.OK;
  },
};

async function selectionOf(call: Call): Promise<Selection & { tail: number | undefined }> {
  const pattern = call.text("grep");
  const tail = call.count("tail", { min: 0, max: MAX_TAIL });
  const stream = call.text("stream");
  if (stream !== undefined && !STREAMS.includes(stream)) {
    throw new UsageError(`Cannot use --stream ${stream}: there are stdout and stderr`);
  }
  try {
    return {
      since: await call.moment("since"),
      pattern: pattern === undefined ? undefined : new RegExp(pattern, "u"),
      stream: stream as Selection["stream"],
      tail,
    };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageError(`Cannot use --grep ${pattern}: ${error.message.replace(/^.*\/u: /s, "")}`);
  }
}

interface Wanted {
  readonly run: string;
  readonly attempt: number;
}

/** Without a word, the job would look like one that prints nothing. */
async function noteNotBegun(
  call: Call,
  client: Client,
  { run, job }: { run: string; job: string },
): Promise<void> {
  const { jobs } = await client.status(run, job);
  const text = notBegunText(run, jobs[0]!, { follow: call.on("follow") });
  if (text !== undefined) call.context.note(`titan: ${text}`);
}

// ── one job, byte for byte ───────────────────────────────────────────────────────────────────────

/** Of one attempt; with --all of those before it, too, and with -f of those that follow. */
async function copyAttempts(
  call: Call, client: Client, { run, job, attempt }: Wanted & { job: string },
): Promise<void> {
  if (attempt > 0) return copyOutput(call, client, { run, job, attempt });
  const look = async (): Promise<JobInfo> => (await client.status(run, job)).jobs[0]!;
  const follow = call.on("follow");
  let row = await look();
  const latest = Math.max(1, row.attempt);
  const first = call.on("all") ? 1 : latest;
  for (let next = first; ; next++) {
    const isOne = next === first && first === latest;
    const heading = isOne ? undefined : `titan: attempt ${next} of ${run}/${job}`;
    await copyOutput(call, client, { run, job, attempt: next, heading }).catch((error: unknown) => {
      const isGone = error instanceof RpcError && error.code === "NOT_FOUND";
      if (next <= row.attempt || !isGone) throw error; // else the job has ended meanwhile
    });
    if (follow && next >= row.attempt) row = await look();
    if (next < row.attempt) continue;
    if (!follow || isTerminal(row.status) || isAtGate(row)) return;
  }
}

async function copyOutput(
  call: Call,
  client: Client,
  { run, job, attempt, heading }: Wanted & { job: string; heading?: string | undefined },
): Promise<void> {
  const { context } = call;
  const pieces = { stdout: new Pieces(), stderr: new Pieces() };
  type Stream = "stdout" | "stderr";
  const say = async (stream: Stream, at: number, piece: Piece | undefined): Promise<void> => {
    if (piece === undefined) return;
    await printJson(context, { type: "log", run, job, stream, at, ...piece });
  };
  let last = 0;
  const options = { attempt, follow: call.on("follow") };
  for await (const { stream, at, data, dropped } of client.logs(run, job, options)) {
    if (last === 0 && heading !== undefined) context.note(heading);
    last = at;
    if (!call.json) await context.pour(stream, data);
    else if (dropped === undefined) await say(stream, at, pieces[stream].take(data));
    else await printJson(context, { type: "log", run, job, stream, at, dropped, data: `${data}` });
  }
  for (const stream of ["stdout", "stderr"] as const) await say(stream, last, pieces[stream].end());
}

function printJson(context: Context, value: object): Promise<void> {
  return context.pour("stdout", Buffer.from(`${JSON.stringify(value)}\n`));
}

// ── lines ────────────────────────────────────────────────────────────────────────────────────────

interface LinesWanted extends Wanted {
  readonly job: string | undefined;
  readonly select: Selection & { readonly tail: number | undefined };
}

async function printLines(
  call: Call,
  client: Client,
  { run, job, attempt, select }: LinesWanted,
): Promise<void> {
  const { jobs } = await client.status(run, job);
  await printChosen({
    client, run, jobs, job, attempt, select, all: call.on("all"), follow: call.on("follow"),
    tail: select.tail === undefined ? undefined : new Tail<JobLine>(select.tail),
    print: printer(call, run, job === undefined ? jobs.map(({ id }) => id) : undefined),
  });
}

/**
 * Prints a line. `names`: those of all jobs that may come, to align the text behind them;
 * undefined: there is one job.
 */
function printer(
  call: Call,
  run: string,
  names: readonly string[] | undefined,
): (line: JobLine) => Promise<void> {
  const { context } = call;
  const cells = Math.min(MAX_NAME_CELLS, Math.max(0, ...(names ?? []).map(width)));
  const colors = new Map(
    (names ?? []).map((name, index) => [name, NAME_COLORS[index % NAME_COLORS.length]!]),
  );
  return ({ job, attempt, stream, at, text }) => {
    if (call.json) {
      return printJson(context, { type: "log", run, job, attempt, stream, at, data: `${text}\n` });
    }
    const time = call.on("timestamps") ? `${new Date(at).toISOString()} ` : "";
    if (names === undefined) return context.pour(stream, Buffer.from(`${time}${text}\n`));
    const name = context.paint(colors.get(job) ?? "cyan", `${pad(clip(job, cells), cells)} |`);
    return context.pour("stdout", Buffer.from(`${name} ${time}${text}\n`));
  };
}
