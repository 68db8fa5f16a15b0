/**
 * Lesson 20: what an agent run has spent, and more for it, if a person agrees.
 *
 * Test: test/20-mcp.tools.test.ts
 */
import { agentJson, any, boolean, limitsJson, text } from "#rows";
import type { BudgetChange } from "#sdk";
import { MICROS_PER_USD } from "#wire";
import { personOf } from "../caller.ts";
import { isRpcError } from "../rpc-error.ts";
import { agreed } from "./person.ts";
import {
  fields, REPLACES, textOf, ToolProblem, whole, words, type Args, type Tool, type ToolContext,
} from "./tool.ts";

/** What can be added, and how much of it is one. */
const UNITS = { usd: MICROS_PER_USD, tokens: 1, steps: 1, jobs: 1 } as const;
type Kind = keyof typeof UNITS;

export const agentBudget: Tool = {
  name: "agent_budget",
  title: "Budget of an agent run",
  ...REPLACES,
  description:
    "Shows the limits of an agent run and what it has used. With an amount to add, the " +
    "person is asked first; runs that were PAUSED by the limit then go on.",
  input: fields({
    agent_run_id: words("Its name, or the id of one of its runs."),
    "add_usd?": { type: "number", minimum: 0, description: "US dollars more." },
    "add_tokens?": whole("Tokens more.", { minimum: 0 }),
    "add_steps?": whole("Steps more.", { minimum: 0 }),
    "add_jobs?": whole("Jobs more.", { minimum: 0 }),
  }),
  output: fields({
    agent_run_id: text,
    status: text,
    raised: boolean,
    limits: any,
    used: any,
    reserved: any,
  }),
  async run(args, context) {
    const { titan } = context;
    const typed = textOf(args, "agent_run_id")!;
    const { agent } = await titan.agent(typed).catch((error: unknown) => {
      if (!isRpcError(error, "NOT_FOUND")) throw error;
      throw new ToolProblem(
        `Cannot find agent run "${typed}": there is none of this name, and no ` +
          "run with this id is one",
      );
    });
    const changes = changesOf(args);
    if (changes.length > 0) await raise(agent.id, changes, context);
    const now = changes.length > 0 ? (await titan.agent(agent.id)).agent : agent;
    const { limits, used, reserved, status } = agentJson(now) as Record<string, object>;
    const raised = changes.length > 0;
    const reason = now.reason === "" ? "" : `: ${now.reason}`;
    return {
      text:
        `${now.id} is ${status}${reason}\nused ${JSON.stringify(used)} of ` +
        `${JSON.stringify(limitsJson(now.limits))}${raised ? "\nIts budget was raised." : ""}`,
      data: { agent_run_id: now.id, status, raised, limits, used, reserved },
    };
  },
};

function changesOf(args: Args): BudgetChange[] {
  return (Object.keys(UNITS) as Kind[]).flatMap((what) => {
    const amount = Math.round(((args[`add_${what}`] as number | undefined) ?? 0) * UNITS[what]);
    return amount === 0 ? [] : [{ what, amount, add: true }];
  });
}

async function raise(
  id: string, changes: readonly BudgetChange[], context: ToolContext,
): Promise<void> {
  const amounts = changes.map(({ what, amount }) => ({ what, by: amount / UNITS[what as Kind] }));
  const more = amounts.map(({ what, by }) => `${by} ${what}`).join(", ");
  const flags = amounts.map(({ what, by }) => ` --${what} +${by}`).join("");
  await agreed({
    subject: `budget ${id}${flags}`, fields: {}, required: [],
    message: `Titan: may agent run ${id} use more? ${more}`,
  }, `agents budget ${id}${flags}`, context);
  await context.titan.raiseBudget(id, [...changes], { by: personOf(context.caller) });
}
