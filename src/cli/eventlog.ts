/**
 * `titan eventlog show`: a log as a person reads it, a line per event; of a store's log, a line
 * per command.
 *
 *     number  time                     type            what
 *     3       2026-03-01 14:05:09.120  JobStarted      hello-7k2m/greet#1 on w1 (number 1)
 *
 * Invariants: nothing is written to the folder; the memory that is needed does not grow with the
 * log; neither the environment of a job nor the values of a store are printed, as both may be
 * secrets.
 * Test: test/cli.eventlog.test.ts
 */
import { Event, eventDetail, eventText, learnPart, Names } from "#core";
import { walkLog } from "#log";
import { failureJson } from "#rows";
import { resultValue } from "#wire";
import { RespParser } from "#store";
import type { Call } from "./command.ts";
import { CliError, EXIT, UsageError } from "./exit.ts";
import { bytesText, clip, momentText, oneLine, pad, plural } from "./text.ts";

/** The longest name of an event, and two. */
const TYPE_CELLS = 15;
const SEQ_CELLS = 6;
/** The message of a failure may be a page long. */
const MAX_DETAIL_CELLS = 120;
/** A key may be as long as a value. */
const MAX_KEY_CELLS = 60;
const STAR = 0x2a;

/** Turns the bodies of a log into lines. */
interface Reader {
  chunk(bytes: Buffer): void;
  lines(seq: number, body: Buffer): string[];
}

export async function showLog(call: Call, dir: string): Promise<number> {
  const { context } = call;
  let reader: Reader | undefined;
  const readerFor = (bytes: Buffer): Reader => {
    reader ??= bytes[0] === STAR ? storeReader(call) : eventReader(call);
    return reader;
  };
  let written = 0;
  const walk = walkLog({
    host: context.host,
    dir,
    onChunk: (chunk) => readerFor(chunk).chunk(chunk),
  });
  for await (const piece of walk) {
    if (piece.type === "snapshot") {
      context.note(`titan: a snapshot stands for what came before: everything up to ${piece.seq}`);
    } else if (piece.type === "rest") {
      const where = `${piece.file} at byte ${piece.offset}`;
      context.note(
        `titan: ${bytesText(piece.bytes)} in ${where} are no whole record: being written,`,
      );
      context.note(`  torn by a crash, or damaged; titan eventlog verify ${dir} says which`);
    } else {
      const lines = piece.bodies.flatMap((body, index) =>
        readerFor(body).lines(piece.first + index, body),
      );
      written += lines.length;
      if (lines.length > 0) await context.pour("stdout", Buffer.from(`${lines.join("\n")}\n`));
    }
  }
  const run = call.text("run");
  if (run === undefined || written > 0) return EXIT.OK;
  throw new CliError(
    EXIT.ERROR,
    `Cannot show run "${run}": no event in ${dir} is about a run whose id begins so`,
  );
}

// ── the master's log ─────────────────────────────────────────────────────────────────────────────

function eventReader(call: Call): Reader {
  const names = new Names();
  const wanted = call.text("run");
  let run = 0;
  return {
    chunk(bytes) {
      run = learnPart(bytes, names, run);
    },
    lines(seq, body) {
      const event = decode(seq, body);
      const about = runsOf(event);
      names.learn(event);
      const isWanted =
        wanted === undefined || about.some((number) => names.run(number).startsWith(wanted));
      // As JSON first: telling an event in words also forgets names that no later event will use.
      const json = isWanted && call.json ? JSON.stringify(eventJson(seq, event, names)) : "";
      const [text, detail] = [eventText(event, names), oneLine(eventDetail(event))];
      if (!isWanted) return [];
      return [call.json ? json : eventLine(seq, event.at, { text, detail })];
    },
  };
}

/** A newer Titan may have events that this one does not know. */
function decode(seq: number, body: Buffer): Event {
  try {
    return Event.decode(body);
  } catch (error) {
    throw new CliError(EXIT.ERROR, `Cannot show record ${seq}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function runsOf(event: Event): readonly number[] {
  if (event.type === "RunsForgotten" || event.type === "RunsLetGo") return event.runs;
  if (event.type === "ArtifactsRemoved") return event.gone.flatMap(({ run }) => run ?? []);
  return "run" in event && event.run !== undefined ? [event.run] : [];
}

function eventLine(
  seq: number,
  at: number,
  { text, detail }: { text: string; detail: string },
): string {
  const space = text.indexOf(" ");
  const [type, what] = space < 0 ? [text, ""] : [text.slice(0, space), text.slice(space + 1)];
  const end = detail === "" ? "" : `: ${clip(detail, MAX_DETAIL_CELLS)}`;
  const head = `${pad(String(seq), SEQ_CELLS)}  ${momentText(at)}`;
  const cells = Math.max(TYPE_CELLS, type.length + 1);
  return `${head}  ${pad(type, cells)}${oneLine(what)}${end}`.trimEnd();
}

/**
 * Numbers become names. A pipeline is told by the ids of its jobs: their commands and environments
 * stand in its file.
 */
function eventJson(number: number, event: Event, names: Names): object {
  const { type, at } = event;
  const fields: Record<string, unknown> = { ...event };
  if ("run" in event && event.run !== undefined) fields["run"] = names.run(event.run);
  if ("job" in event) fields["job"] = names.jobId(event);
  if ("worker" in event) fields["worker"] = names.workerName(event.worker) ?? null;
  switch (event.type) {
    case "RunSubmitted":
      Object.assign(fields, { name: event.spec.name, jobs: event.spec.jobs.map(({ id }) => id) });
      break;
    case "JobsAdded":
    case "JobsInserted":
      fields["jobs"] = event.jobs.map(({ id }) => id);
      if ("edges" in event) fields["edges"] = event.edges.map((edge) => {
        return [edge.parent, edge.child].map((job) => names.jobId({ run: event.run, job }));
      });
      break;
    case "JobsCancelled":
    case "JobsMarked":
    case "RunRetried":
      fields["jobs"] = event.jobs.map((job) => names.jobId({ run: event.run, job }));
      break;
    case "RunsForgotten":
    case "RunsLetGo":
      fields["runs"] = event.runs.map((run) => names.run(run));
      if ("keys" in event) fields["keys"] = event.keys.map(({ run }) => names.run(run));
      break;
    case "ArtifactsRemoved":
      fields["gone"] = event.gone.map(({ run, name }) => {
        return { run: run === undefined ? null : names.run(run), name };
      });
      break;
    case "JobFailed":
      fields["failure"] = failureJson(event.failure);
      break;
    case "JobSucceeded":
      fields["result"] = event.result === undefined ? null : resultValue(event.result);
      break;
  }
  const { spec: _spec, id: _id, instance: _instance, ...rest } = fields;
  return { number, at, type, ...withNulls(rest) };
}

/** `undefined` would make a field vanish. */
function withNulls(fields: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value ?? null]));
}

// ── a store's log ────────────────────────────────────────────────────────────────────────────────

function storeReader(call: Call): Reader {
  if (call.on("run")) {
    throw new UsageError("Cannot show a run: this is the log of a store, which knows no runs");
  }
  const parser = new RespParser(); // a command may go on in the next record
  return {
    chunk: () => undefined, // the keys that there were: titan store dump has them
    lines(seq, body) {
      const lines: string[] = [];
      parser.push(body);
      for (let argv = parser.next(); argv !== undefined; argv = parser.next()) {
        lines.push(commandLine(call, seq, argv));
      }
      return lines;
    },
  };
}

/** `12  SET greeting (1 value, 5 B)` */
function commandLine(
  call: Call,
  number: number,
  [name = "", first, ...rest]: readonly string[],
): string {
  const command = name.toUpperCase();
  const key = first === undefined ? null : Buffer.from(first, "latin1").toString("utf8");
  const bytes = rest.reduce((sum, value) => sum + value.length, 0);
  if (call.json) return JSON.stringify({ number, command, key, values: rest.length, bytes });
  const shown = key === null ? "" : ` ${clip(oneLine(key), MAX_KEY_CELLS)}`;
  const hidden = rest.length === 0 ? "" : ` (${plural(rest.length, "value")}, ${bytesText(bytes)})`;
  return `${pad(String(number), SEQ_CELLS)}  ${command}${shown}${hidden}`;
}
