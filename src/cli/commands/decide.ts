/**
 * `titan approve`, `titan reject`: a person's answer to a gate.
 *
 * Test: test/cli.test.ts
 */
import type { Client } from "#sdk";
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT } from "../exit.ts";
import { findRun, parseRef, withRun } from "../refs.ts";
import { oneLine, timeText } from "../text.ts";

const notes = [
  "GATE is RUN/JOB as titan gates prints it; RUN alone is enough while one gate of it is open.",
  "The first answer counts, and is never changed. A later answer is told the first one; " +
    "if the two differ, the exit code is 1.",
];

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
  const answer = { approve: wanted, by: context.person, comment };
  const { gate, result } = await withRun(client, typed.run, async (run) => {
    const id = `${run}/${typed.job}`;
    return { gate: id, result: await client.decide(id, answer) };
  });
  const { approved, by, at, already } = result;
  if (call.json) context.json({ gate, approved, by, comment: result.comment, at, already });
  else {
    const answered = context.paint(
      approved ? "green" : "red",
      approved ? "approved" : "rejected",
    );
    const had = already ? "had been " : "";
    const said = result.comment === "" ? "" : `: ${oneLine(result.comment)}`;
    context.out(`${gate} ${had}${answered} by ${by} at ${timeText(at)}${said}`);
  }
  return approved === wanted ? EXIT.OK : EXIT.ERROR;
}

/** RUN/JOB as it is; for a bare RUN its one open gate. */
async function nameGate(client: Client, text: string): Promise<{ run: string; job: string }> {
  const { run: typed, job } = parseRef(text);
  if (job !== undefined) return { run: typed, job };
  const run = await findRun(client, typed);
  const open = (await client.gates())
    .map((gate) => gate.id)
    .filter((id) => id.startsWith(`${run}/`));
  if (open.length === 1) return { run, job: open[0]!.slice(run.length + 1) };
  const found =
    open.length === 0
      ? "none of its gates is open"
      : `it has ${open.length} open gates: ${open.join(", ")}`;
  throw new CliError(EXIT.ERROR, `Cannot choose a gate of ${run}: ${found}`);
}
