/**
 * Lesson 19: agent runs, the steps of their jobs, and what people want of them.
 *
 * Test: test/http.routes.test.ts
 */
import {
  agentJson, agentReportJson, any, integer, limitsJson, list, mapOf, object, oneOf, shapes,
  stepJson, text,
} from "#rows";
import { BUDGET_KINDS, MICROS_PER_USD, type BudgetChange, type BudgetKind } from "#wire";
import { HttpError, type Asked, type Route } from "./route.ts";

const { agent, agentReport, limits, step } = shapes;

interface Fork {
  readonly from: string;
  readonly set?: Record<string, unknown>;
  readonly by?: string;
}

interface Raise {
  readonly what: BudgetKind;
  readonly amount: number;
  readonly add?: boolean;
}

export const AGENTS: readonly Route[] = [
  {
    method: "GET", path: "/api/v1/agents", summary: "Agent runs, the oldest first.",
    answer: list(agent), run: async ({ client }) => (await client.agents()).map(agentJson),
  },
  {
    method: "GET", path: "/api/v1/agents/{agent}",
    summary: "An agent run, by its name or the id of one of its runs: its runs, and their jobs.",
    answer: agentReport,
    run: async ({ client, path }) => agentReportJson(await client.agent(path["agent"]!)),
  },
  {
    method: "POST", path: "/api/v1/agents/{agent}/budget",
    summary: "Raises limits of an agent run: to an amount, or (add) by it. Dollars, and ms.",
    body: object({
      changes: list(object({
        what: oneOf(...BUDGET_KINDS), amount: { type: "number" }, "add?": { type: "boolean" },
      })),
      "by?": text,
    }),
    answer: object({ id: text, limits }), run: raiseBudget,
  },
  {
    method: "POST", path: "/api/v1/agents/{agent}/cancel",
    summary: "Cancels all runs of an agent run.", body: object({}),
    answer: object({ id: text, runs: integer, jobs: integer }),
    run: async ({ client, path }) => {
      const { group, ...touched } = await client.cancelAgent(path["agent"]!);
      return { id: group, ...touched };
    },
  },
  {
    method: "GET", path: "/api/v1/runs/{run}/steps",
    summary: "What jobs of a run have in their journals, in the order of their steps.",
    query: { job: "only those of this job" },
    answer: list(step),
    run: async ({ client, path, query }) =>
      (await client.steps(path["run"]!, query.get("job") ?? undefined)).map(stepJson),
  },
  {
    method: "POST", path: "/api/v1/runs/{run}/fork",
    summary: "A new run that begins with the steps of this one up to `from` (NAME#N).",
    body: object({ from: text, "set?": mapOf(any), "by?": text }),
    answer: object({ run: text, steps: integer }),
    run: ({ client, path, body }) => {
      const { from, set = {}, by } = body as unknown as Fork;
      return client.fork(path["run"]!, from, { set, ...(by !== undefined && { by }) });
    },
  },
];

async function raiseBudget({ client, path, body }: Asked): Promise<object> {
  const { changes, by } = body as { changes: Raise[]; by?: string };
  const { group, limits: now } = await client.raiseBudget(
    path["agent"]!, changes.map(changeOf), { ...(by !== undefined && { by }) },
  );
  return { id: group, limits: limitsJson(now) };
}

/** @throws {HttpError} 400 */
function changeOf({ what, amount, add = false }: Raise): BudgetChange {
  const units = what === "usd" ? Math.round(amount * MICROS_PER_USD) : amount;
  if (Number.isSafeInteger(units) && units > 0) return { what, amount: units, add };
  throw new HttpError(400, "BAD_REQUEST",
    `Cannot raise ${what} to ${amount}: must be above 0, and whole but for dollars`);
}
