/**
 * Lesson 20: the tools about gates (lesson 16): one lists what waits for a person, and two bring
 * the person's answer, a yes or a no. A model may call them, but it does not decide (person.ts).
 *
 * Test: test/20-mcp.tools.test.ts
 */
import { plural } from "#base";
import { answerJson, boolean, gateJson, list, mapOf, shapes, text } from "#rows";
import type { Client, GateInfo } from "#sdk";
import { resultValue, rulesOf, type FormField } from "#wire";
import { personOf, type AskedField, type Asking } from "../caller.ts";
import { findGate } from "../names.ts";
import { agreed } from "./person.ts";
import {
  fields, READS, REPLACES, textOf, words, type Args, type Tool, type ToolAnswer, type ToolContext,
} from "./tool.ts";

const MAX_RESULT_CHARS = 2000;

export const listGates: Tool = {
  name: "list_gates", title: "List open gates", ...READS,
  description: "Lists what waits for a person's decision: the question, since when, until when.",
  input: fields({}),
  output: fields({ gates: list(shapes.gate) }),
  async run(_args, { titan }) {
    const gates = await titan.gates();
    const lines = gates.map(({ id, message, deadline }) =>
      `- ${id}: ${message} (until ${new Date(deadline).toISOString()})`);
    const head = gates.length === 0 ? "Nothing waits for a person."
      : `${plural(gates.length, "open gate")}. approve_hitl_gate asks the person.`;
    return { text: [head, ...lines].join("\n"), data: { gates: gates.map(gateJson) } };
  },
};

const GATE = words("RUN/JOB as list_gates has it; or hitl-gate-JOB, or JOB: the newest open gate.");
const COMMENT = words("Kept with the decision.", { default: "" });
const DECIDED = fields({ status: text, gate_id: text, message: text, already: boolean,
  decision: shapes.answer });

export const approveGate: Tool = {
  name: "approve_hitl_gate",
  title: "Approve a gate",
  ...REPLACES,
  leaves: true,
  description:
    "Asks the person whether a gate is to be opened, and opens it if they agree. Where " +
    "the client cannot ask, it says which command the person types.",
  input: fields({
    gate_id: GATE,
    "comment?": COMMENT,
    "fields?": { ...mapOf(text), description: "Values of its form, for the person to look at." },
  }),
  output: DECIDED,
  async run(args, context) {
    const gate = await findGate(context.titan, textOf(args, "gate_id")!);
    const { form } = rulesOf(gate);
    const proposed = (args["fields"] ?? {}) as Record<string, string>;
    const exact = await thisAttempt(context.titan, gate);
    const given = Object.entries(proposed).map(([name, value]) => ` --field ${name}=${value}`);
    const command = `approve ${gate.id}${given.join("")}`;
    const said = await agreed(askingOf(gate, exact, proposed), command, context);
    const values: Record<string, string> = { ...proposed };
    for (const { name } of form) {
      if (said[name] !== undefined) values[name] = String(said[name]);
    }
    return decide(exact, { approve: true, values }, { args, context });
  },
};

export const rejectGate: Tool = {
  name: "reject_hitl_gate", title: "Reject a gate", ...REPLACES,
  description: "Closes a gate: what depends on its job will not run. The first answer stands, so " +
    "only do this if the person wants it.",
  input: fields({ gate_id: GATE, "comment?": COMMENT }),
  output: DECIDED,
  async run(args, context) {
    const gate = await findGate(context.titan, textOf(args, "gate_id")!);
    const exact = await thisAttempt(context.titan, gate);
    return decide(exact, { approve: false, values: {} }, { args, context });
  },
};

// #region attempt
/**
 * The gate that the person sees, and no later one: a job that is tried again asks another question,
 * about another result.
 */
async function thisAttempt(titan: Client, { id }: GateInfo): Promise<string> {
  const slash = id.indexOf("/");
  const [run, job] = [id.slice(0, slash), id.slice(slash + 1)];
  if (/[#:]/.test(job)) return id;
  const { jobs } = await titan.status(run, job);
  return `${id}#${jobs[0]!.attempt}`;
}
// #endregion

async function decide(
  gate: string, { approve, values }: { approve: boolean; values: Record<string, string> },
  { args, context: { titan, caller } }: { args: Args; context: ToolContext },
): Promise<ToolAnswer> {
  const by = personOf(caller);
  const comment = textOf(args, "comment") ?? "";
  const decision = await titan.decide(gate, { approve, by, comment, values });
  const { approved, already, missing = 0 } = decision;
  const status = approved ? "approved" : "rejected";
  const more = missing > 0 ? `; it wants ${plural(missing, "more approval")}` : "";
  const before = already ? `had been ${status} by ${decision.by} before, and that stands`
    : `is ${status}${more}`;
  const run = gate.slice(0, gate.indexOf("/"));
  const message = `${gate} ${before}`;
  return {
    text: `${message}\nNext: wait_run ${run}.`,
    data: {
      status, gate_id: gate, message, already, decision: { gate, ...answerJson(decision) },
    },
  };
}

// ── the question to the person ───────────────────────────────────────────────────────────────────

function askingOf(
  gate: GateInfo, exact: string, proposed: Readonly<Record<string, string>>,
): Asking {
  const { id, message, result, submitter, votes } = gate;
  const { form } = rulesOf(gate);
  const about = result === undefined ? "" : JSON.stringify(resultValue(result), undefined, 1);
  const lines = [
    `Titan: may this go on? ${message}`, `Gate: ${id}`,
    ...(submitter === "" ? [] : [`Submitted by: ${submitter}`]),
    ...(votes.length === 0 ? [] : [`Approved already by: ${votes.map(({ by }) => by).join(", ")}`]),
    ...(about === "" ? [] : [`Result: ${about.slice(0, MAX_RESULT_CHARS)}`]),
  ];
  return {
    subject: exact, message: lines.join("\n"),
    fields: Object.fromEntries(
      form.map((field) => [field.name, askedField(field, proposed[field.name])]),
    ),
    required: form.filter(({ required }) => required).map(({ name }) => name),
  };
}

/** A field of a gate's form as a client shows it. */
function askedField(
  { type, label, choices, default: preset }: FormField, given: string | undefined,
): AskedField {
  const text = given ?? preset;
  const title = label === "" ? {} : { title: label };
  if (type === "choice") {
    return {
      type: "string",
      enum: choices,
      ...title,
      ...(text !== undefined && { default: text }),
    };
  }
  if (type === "number") {
    return { type, ...title, ...(text !== undefined && { default: Number(text) }) };
  }
  if (type === "boolean") {
    const isYes = /^(?:yes|y|true|on|1)$/i.test(text ?? "");
    return { type, ...title, ...(text !== undefined && { default: isYes }) };
  }
  return { type: "string", ...title, ...(text !== undefined && { default: text }) };
}
