/**
 * Lesson 18: the handlers for what people ask about agent runs (`titan agents`): to list them, to
 * raise a budget, to cancel one. handlers.ts has them in its table of all requests.
 *
 * Test: test/18-agents.rows.test.ts
 */
import { agentInfo, agentRows, questionsOf } from "#core";
import {
  AgentCancelled, AgentList, AgentPage, AgentRef, BudgetNow, Op, RaiseBudget,
} from "#wire";
import { list, mapped } from "./lists.ts";
import { agentBytes, agentRowBytes } from "./pages.ts";
import type { Handler } from "./services.ts";

export const AGENT_HANDLERS: Readonly<Record<number, Handler>> = {
  [Op.AGENTS]: (services, request, peer) => {
    const { state } = services.engine;
    const questions = questionsOf(state);
    return list(services, request, {
      peer, rows: mapped(state.groups.values(), (group) => agentInfo(group, questions)),
      bytesOf: agentBytes, encode: (agents) => AgentList.encode({ agents }),
    });
  },
  [Op.AGENT]: (services, request, peer) => {
    const { state, context } = services.engine;
    const { name } = AgentRef.decode(request.body);
    return list(services, request, {
      peer, rows: agentRows(state, name, context.now), bytesOf: agentRowBytes,
      encode: (rows) => AgentPage.encode({
        agent: rows.flatMap((row) => ("agent" in row ? [row.agent] : []))[0],
        runs: rows.flatMap((row) => ("run" in row ? [row.run] : [])),
        jobs: rows.flatMap((row) => ("job" in row ? [row.job] : [])),
      }),
    });
  },
  [Op.BUDGET]: async ({ engine }, request) => {
    const wish = RaiseBudget.decode(request.body);
    const reply = await engine.execute({ type: "RaiseBudget", ...wish });
    request.reply(BudgetNow.encode(reply));
  },
  [Op.CANCEL_AGENT]: async ({ engine }, request) => {
    const { name: group } = AgentRef.decode(request.body);
    const reply = await engine.execute({ type: "CancelGroup", group });
    request.reply(AgentCancelled.encode(reply));
  },
};

/** As in handlers.ts: what a full disk refuses… */
export const AGENT_CHANGES: Readonly<Record<number, string>> = {
  [Op.BUDGET]: "raise a budget",
  [Op.CANCEL_AGENT]: "cancel",
};

/** …and what may be long. */
export const AGENT_LISTS: readonly number[] = [Op.AGENTS, Op.AGENT];
