/**
 * How people name things: `RUN`, `RUN/JOB`, the beginning of a run's id when that is enough, and
 * `@latest`.
 *
 * Test: test/cli.test.ts
 */
import type { RunCalls } from "#calls";
import type { RunInfo } from "#wire";
import { CliError, EXIT, isRpcError, UsageError } from "./exit.ts";
import { meantWord } from "./text.ts";

/** Ids that are listed when a beginning fits several runs. */
const MAX_LISTED = 10;
/** For somebody whose run is not there. The number is the master's. */
const LISTED = "titan runs lists them; finished runs beyond the last 1,000 are forgotten";

/** The run that was submitted last. No id begins so. */
export const LATEST = "@latest";

export interface Ref {
  readonly run: string;
  readonly job: string | undefined;
}

/** `RUN` or `RUN/JOB`. */
export function parseRef(text: string): Ref {
  refuseEmpty(text);
  const slash = text.indexOf("/");
  if (slash < 0) return { run: text, job: undefined };
  const ref = { run: text.slice(0, slash), job: text.slice(slash + 1) };
  if (ref.run === "" || ref.job === "") {
    throw new UsageError(`Cannot use "${text}": expected RUN or RUN/JOB`);
  }
  return ref;
}

/**
 * Every id begins with the empty text: `titan cancel "$RUN"` with RUN not set would cancel the only
 * run there is.
 */
function refuseEmpty(text: string): void {
  if (text !== "") return;
  throw new UsageError(
    'Cannot use "": expected RUN or RUN/JOB (a variable that is not set?)',
    "titan runs lists the runs",
  );
}

/** Asks with the id as it was typed. Only if there is no such run, looks for one that begins so. */
export async function withRun<T>(
  client: RunCalls,
  typed: string,
  ask: (run: string) => Promise<T>,
): Promise<T> {
  refuseEmpty(typed); // before we ask: a master says of "" only that it is not there
  if (typed === LATEST) return ask(await findRun(client, typed));
  try {
    return await ask(typed);
  } catch (error) {
    if (!isRpcError(error, "NOT_FOUND")) throw error;
    const run = await findRun(client, typed);
    if (run === typed) throw error; // the run is there, so the job is not
    return ask(run);
  }
}

function newest(runs: readonly RunInfo[]): string {
  // Of two in one millisecond the later one is behind.
  const last = runs.reduce<RunInfo | undefined>(
    (a, b) => (a === undefined || b.submittedAt >= a.submittedAt ? b : a),
    undefined,
  );
  if (last === undefined) {
    throw new CliError(EXIT.ERROR, `Cannot find run "${LATEST}": there are no runs`);
  }
  return last.id;
}

/** Each version of a service is a run, and their ids begin alike: the name leads to one of them. */
async function runOfService(client: RunCalls, name: string): Promise<string | undefined> {
  const rows = await client.services();
  return rows.find((row) => row.deployed && row.current && row.name === name)?.run;
}

/** The full id of a run. */
export async function findRun(client: RunCalls, typed: string): Promise<string> {
  refuseEmpty(typed);
  const runs = await client.runs();
  if (typed === LATEST) return newest(runs);
  if (runs.some((run) => run.id === typed)) return typed;
  // The newest first: it is the likeliest to be meant.
  const fitting = runs
    .filter((run) => run.id.startsWith(typed))
    .sort((a, b) => b.submittedAt - a.submittedAt)
    .map((run) => run.id);
  if (fitting.length === 1) return fitting[0]!;
  if (fitting.length > 1) {
    const more = fitting.length > MAX_LISTED ? ` and ${fitting.length - MAX_LISTED} more` : "";
    const served = await runOfService(client, typed);
    const latest = fitting[0] === newest(runs) ? `${LATEST} is ${fitting[0]}` : undefined;
    const advice = served === undefined ? latest : `the service ${typed} is ${served} now`;
    throw new CliError(
      EXIT.ERROR,
      `Cannot choose a run: "${typed}" fits ${fitting.slice(0, MAX_LISTED).join(", ")}${more}`,
      { advice },
    );
  }
  const ids = runs.map((run) => run.id);
  const meant = meantWord(typed, ids);
  const none = runs.length === 0 ? ": there are no runs" : "";
  const hint = meant === undefined ? none : ` (did you mean ${meant}?)`;
  throw new CliError(EXIT.ERROR, `Cannot find run "${typed}"${hint}`, {
    advice: runs.length > 0 && meant === undefined ? LISTED : undefined,
  });
}
