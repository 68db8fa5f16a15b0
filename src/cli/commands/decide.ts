/**
 * `titan approve`, `titan reject`: a person's answer to a gate.
 *
 * Test: test/16-gates.cli.test.ts, test/cli.test.ts
 */
import { plural } from "#base";
import { answerJson } from "#rows";
import type { RunCalls } from "#calls";
import type { Decision } from "#sdk";
import { openMaster } from "../address.ts";
import type { Call, Command, Flag } from "../command.ts";
import { CliError, EXIT, UsageError } from "../exit.ts";
import { findRun, parseRef, withRun } from "../refs.ts";
import { oneLine, timeText } from "../text.ts";

const notes = [
  "GATE is RUN/JOB as titan gates prints it; RUN alone is enough while one gate of it is open.",
  "The first answer counts, and is never changed. A later answer is told the first one; " +
    "if the two differ, the exit code is 1.",
];

const FIELD: Flag = {
  type: "string", value: "NAME=VALUE", many: true, mayBeEmpty: true,
  summary: "a field of the gate's form, as titan gates GATE lists them; once for each",
};

function decision(name: "approve" | "reject", summary: string): Command {
  return {
    name,
    summary,
    usage: "GATE",
    args: [1, 1],
    flags: {
      comment: {
        type: "string",
        value: "TEXT",
        mayBeEmpty: true,
        summary: "kept with the decision",
      },
      as: { type: "string", value: "NAME", summary: "who answers (default: you at this machine)" },
      ...(name === "approve" && { field: FIELD }),
    },
    notes,
    examples: [
      `titan ${name} nightly-7k2m/train`,
      `titan ${name} nightly --comment "looked at the numbers"`,
    ],
    run: (call) => decide(call, name === "approve"),
  };
}

export const approve = decision("approve", "open a gate: what comes after it runs");
export const reject = decision("reject", "close a gate: what comes after it does not run");

async function decide(call: Call, wanted: boolean): Promise<number> {
  const { context } = call;
  const client = await openMaster(call);
  const comment = call.text("comment") ?? "";
  const typed = await nameGate(client, call.args[0]!);
  const values = valuesOf(call);
  const answer = { approve: wanted, by: call.text("as") ?? context.person, comment, values };
  const { gate, result } = await withRun(client, typed.run, async (run) => {
    const id = `${run}/${typed.job}`;
    return { gate: id, result: await client.decide(id, answer) };
  });
  if (call.json) context.json({ gate, ...answerJson(result) });
  else context.out(`${gate} ${answerText(call, result)}`);
  return result.approved === wanted ? EXIT.OK : EXIT.ERROR;
}

function valuesOf(call: Call): Record<string, string> {
  const values: Record<string, string> = {};
  for (const text of call.texts("field")) {
    const [, name, value = ""] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (name === undefined) {
      throw new UsageError(`Cannot use --field ${text}: write NAME=VALUE`);
    }
    values[name] = value;
  }
  return values;
}

function answerText(call: Call, result: Decision): string {
  const { approved, by, at, already, comment, missing = 0 } = result;
  const { paint } = call.context;
  const word = wordOf(result);
  const had = already ? "had been " : "";
  const said = comment === "" ? "" : `: ${oneLine(comment)}`;
  const more = missing > 0 ? ` (${plural(missing, "more approval")} to go)` : "";
  const answered = paint.call(call.context, approved ? "green" : "red", word);
  return `${had}${answered} by ${by} at ${timeText(at)}${said}${more}`;
}

/** RUN/JOB or RUN/JOB#ATTEMPT as it is; for a bare RUN its one open gate. */
async function nameGate(client: RunCalls, text: string): Promise<{ run: string; job: string }> {
  const { run: typed, job } = parseRef(text);
  if (job !== undefined) return { run: typed, job };
  const run = await findRun(client, typed);
  const open = (await client.gates())
    .map((gate) => gate.id)
    .filter((id) => id.startsWith(`${run}/`));
  if (open.length === 1) return { run, job: open[0]!.slice(run.length + 1) };
  const found =
    open.length === 0
      ? `none of its gates is open${await latestAnswer(client, run)}`
      : `it has ${open.length} open gates: ${open.join(", ")}`;
  throw new CliError(EXIT.ERROR, `Cannot choose a gate of ${run}: ${found}`);
}

/** Somebody was faster, most likely: who that was. */
async function latestAnswer(client: RunCalls, run: string): Promise<string> {
  const { jobs } = await client.status(run);
  let found = "";
  let latest = 0;
  for (const { id, decision } of jobs) {
    if (decision === undefined || decision.at < latest) continue;
    latest = decision.at;
    found = `; ${run}/${id} had been ${wordOf(decision)} by ${decision.by} at ` +
      timeText(decision.at);
  }
  return found;
}

function wordOf({ approved, skipped }: Pick<Decision, "approved" | "skipped">): string {
  return approved ? "approved" : skipped === true ? "passed over" : "rejected";
}
