/**
 * `titan gates`: what waits for a person: a table, or all about one gate.
 *
 * Test: test/16-gates.cli.test.ts
 */
import type { RunCalls } from "#calls";
import type { GateInfo } from "#sdk";
import { resultValue, rulesOf, type FormField, type Notice, type Notify } from "#wire";
import { openMaster } from "../address.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT } from "../exit.ts";
import { findRun, parseRef } from "../refs.ts";
import { durationText, oneLine, plural, printable, table, timeText } from "../text.ts";

export const gates: Command = {
  name: "gates",
  summary: "list what waits for a person's decision, or show one gate with its form",
  usage: "[GATE]",
  args: [0, 1],
  flags: {},
  examples: ["titan gates", "titan gates nightly-7k2m/train", "titan gates --json"],
  async run(call: Call): Promise<number> {
    const { context } = call;
    const client = await openMaster(call);
    const all = await client.gates();
    const [wanted] = call.args;
    const found = wanted === undefined ? all : await meantGates(client, all, wanted);
    if (found.length > 0 && wanted === undefined && !call.json) showTable(call, found);
    else if (found.length === 0 && !call.json) context.note("titan: nothing waits for a person");
    else await showWhole(call, found);
    return EXIT.OK;
  },
};

/** All that is known of them. A table has no need of the modules for it. */
async function showWhole(call: Call, found: readonly GateInfo[]): Promise<void> {
  const { gateJson, notifyText } = await import("#rows");
  if (call.json) call.context.json(found.map(gateJson));
  else for (const gate of found) showGate(call, gate, notifyText);
}

/** As for `titan approve`, the beginning of a run's id is enough. */
async function meantGates(
  client: RunCalls, all: readonly GateInfo[], typed: string,
): Promise<GateInfo[]> {
  const exact = all.filter(({ id }) => isMeant(id, typed));
  if (exact.length > 0) return exact;
  const { run, job } = parseRef(typed);
  const id = await findRun(client, run);
  const named = job === undefined ? id : `${id}/${job}`;
  const found = all.filter((gate) => isMeant(gate.id, named));
  if (found.length > 0) return found;
  throw new CliError(EXIT.ERROR, `Cannot show gate ${named}: no such gate is open`);
}

/** RUN, RUN/JOB, or the whole name: RUN/JOB#2, or RUN/JOB:KEY. */
function isMeant(id: string, wanted: string): boolean {
  return id === wanted || ["/", "#", ":"].some((next) => id.startsWith(wanted + next));
}

function showTable({ context }: Call, found: readonly GateInfo[]): void {
  const now = Date.now();
  const rows = found.map((gate) => [
    gate.id,
    durationText(now - gate.openedAt),
    durationText(gate.deadline - now),
    approvalsText(gate),
    oneLine(gate.message),
  ]);
  const heads = ["GATE", "WAITS FOR", "CLOSES IN", "APPROVALS", "QUESTION"];
  context.out(table(heads, rows, context.columns));
  context.note("titan: answer with titan approve GATE or titan reject GATE; " +
    "titan gates GATE shows its form, and what it is about");
}

/** "1 of 2", or nothing if one is enough. */
function approvalsText(gate: GateInfo): string {
  const { required } = rulesOf(gate);
  return required === 1 ? "" : `${gate.votes.length} of ${required}`;
}

const AFTERWARDS = {
  reject: "is rejected",
  approve: "is approved",
  skip: "is passed over: what comes after it is skipped",
} as const;

function showGate(
  { context }: Call, gate: GateInfo, addressText: (notify: Notify) => string,
): void {
  const { id, message, openedAt, deadline, votes, result, submitter, notice } = gate;
  const { form, approvers, required, onTimeout, selfApproval, notify } = rulesOf(gate);
  const lines: [string, string][] = [
    ["gate", id],
    ["question", printable(message)],
    ["open since", timeText(openedAt)],
    ["closes", `${timeText(deadline)}, and then it ${AFTERWARDS[onTimeout]}`],
  ];
  if (approvers.length > 0) lines.push(["approvers", oneLine(approvers.join(", "))]);
  if (required > 1) lines.push(["approvals", `${votes.length} of ${required}`]);
  for (const { by, at, comment } of votes) {
    lines.push(["approved by", oneLine(`${by} at ${timeText(at)}${comment && `: ${comment}`}`)]);
  }
  if (notify && notice) lines.push(["notify", oneLine(noticeText(addressText(notify), notice))]);
  if (!selfApproval) lines.push(["not by", `${submitter || "nobody known"}, who submitted it`]);
  for (const field of form) lines.push(["field", oneLine(fieldText(field))]);
  if (result !== undefined) {
    lines.push(["about", printable(JSON.stringify(resultValue(result), undefined, 1))]);
  }
  const width = Math.max(...lines.map(([title]) => title.length));
  for (const [title, text] of lines) {
    context.out(`${title.padEnd(width)}  ${text.replaceAll("\n", `\n${" ".repeat(width + 2)}`)}`);
  }
  const fields = form.map(({ name, type }) => ` --field ${name}=${type.toUpperCase()}`).join("");
  context.note(`titan: titan approve ${id}${fields}, or titan reject ${id}`);
}

/** Where people are told, and how that went. */
function noticeText(to: string, { tries, dueAt, sentAt, why }: Notice): string {
  if (sentAt > 0) return `${to}, sent ${timeText(sentAt)}`;
  if (tries === 0) return `${to}, not sent yet`;
  const next = dueAt > 0 ? `again at ${timeText(dueAt)}` : "given up";
  return `${to} failed ${plural(tries, "time")}, ${next}: ${why}`;
}

/** `share (number, default 10): Percent of users` */
function fieldText({ name, type, label, choices, default: preset, required }: FormField): string {
  const facts = [type === "choice" ? choices.join(" | ") : type];
  if (preset !== undefined) facts.push(`default ${preset}`);
  if (required) facts.push("required");
  return `${name} (${facts.join(", ")})${label === "" ? "" : `: ${label}`}`;
}
