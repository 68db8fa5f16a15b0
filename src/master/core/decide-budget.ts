/**
 * Lesson 18: what an agent run may do, and what people want of it. These are the brakes: whatever
 * an agent asks for is refused here once a limit is reached, and nowhere else.
 *
 *     more jobs, a step ─▶ is there room? ──no──▶ BUDGET, in words; nothing has changed
 *                                └─yes──▶ the event, and BudgetReached at 80 % and at the end
 *
 * Invariants: nothing is counted before it is decided, so parallel requests get exactly what is
 * there; a limit that cannot be raised is another refusal (LIMIT) than one that can (BUDGET).
 * Test: test/18-agents.budget.test.ts
 */
import {
  BUDGET_KINDS, MAX_GROUP_BYTES, type PipelineSpec, type Spent,
} from "#wire";
import {
  budgetProblem, differenceOf, levelOf, limitsFrom, NOTHING_RESERVED, NOTHING_SPENT, obstacle, plus,
  raised, usage, type Pool, type Reserve, type Want,
} from "./budget.ts";
import { unfitName } from "./check.ts";
import type { CommandOf } from "./command.ts";
import { NO_EFFECTS, type DecidedOn } from "./effect.ts";
import type { Event, EventOf } from "./events.ts";
import { deadlineOf, isOpenGroup, kindIndex, raiseAdvice } from "./groups.ts";
import { Refusal, type Context } from "./refusal.ts";
import type { AgentGroup, Run, State } from "./state.ts";

/** What is being done, for the refusal, and when. */
interface Attempted {
  readonly doing: string;
  readonly now: number;
}

type Counted = Pick<AgentGroup, "id" | "startedAt" | "limits" | "used" | "reached">;

// ── may it? ──────────────────────────────────────────────────────────────────────────────────────

// #region admit
/** A new run with `agent`. Returns the news about its group that follow from its jobs. */
export function admitAgent(
  state: State, run: { spec: PipelineSpec; id: string; doing: string }, { now }: Context,
): Event[] {
  const { spec, id, doing } = run;
  if (spec.agent === undefined) return [];
  const { id: name = id, budget } = spec.agent;
  const wrong = nameProblem(name) ?? (budget && budgetProblem(budget));
  if (wrong !== undefined) throw new Refusal("INVALID", `Cannot ${doing}: ${wrong}`);
  const group = state.groups.get(name);
  const declared = group?.declared;
  if (declared !== undefined && budget !== undefined) {
    const other = differenceOf(declared, budget);
    if (other !== undefined) {
      const found = `agent run "${name}" has another budget for ${other}`;
      const advice = "its first run decides; titan agents budget raises it";
      throw new Refusal("CONFLICT", `Cannot ${doing}: ${found} (${advice})`);
    }
  }
  const brings = declared === undefined ? budget : undefined;
  const limits = brings === undefined ? (group?.limits ?? {}) : limitsFrom(brings, now);
  const jobs = spec.jobs.length;
  const namesake = state.runsById.get(name)?.jobs.length ?? 0;
  const used = group?.used ?? plus(NOTHING_SPENT, { jobs: namesake });
  const reserved = group?.reserved ?? NOTHING_RESERVED;
  const pool = { id: name, limits, used, reserved, isNew: group === undefined };
  refuseBeyond(pool, { jobs }, { now, doing });
  const reached = group?.reached ?? BUDGET_KINDS.map(() => 0);
  const startedAt = brings === undefined ? (group?.startedAt ?? now) : now;
  return newsOf({ id: name, startedAt, limits, used, reached }, { jobs }, now);
}
// #endregion

/** What is wrong with the name of a group. */
function nameProblem(name: string): string | undefined {
  if (Buffer.byteLength(name) > MAX_GROUP_BYTES) {
    return `the name of its agent run has more than ${MAX_GROUP_BYTES} bytes`;
  }
  const wrong = unfitName(name);
  return wrong && `the name of its agent run ${wrong}`;
}

/** More jobs for a run that goes on. */
export function admitJobs(run: Run, jobs: number, options: Attempted): Event[] {
  const { group } = run;
  if (group === undefined || jobs === 0) return [];
  refuseBeyond(group, { jobs }, options);
  return newsOf(group, { jobs }, options.now);
}

/**
 * A step that is to begin. `held`: what the same step has set aside before, which is not taken a
 * second time.
 */
export function admitStep(
  { group }: Run, step: { reserve: Reserve | undefined; held: Reserve },
  options: Attempted,
): Event[] {
  if (group === undefined) return [];
  const { reserve, held } = step;
  const { tokens, usdMicros } = group.reserved;
  const reserved = { tokens: tokens - held.tokens, usdMicros: usdMicros - held.usdMicros };
  refuseBeyond({ ...group, reserved }, { steps: 1, reserve }, options);
  return newsOf(group, { steps: 1 }, options.now);
}

function refuseBeyond(
  pool: Pool & { readonly id: string; readonly isNew?: boolean }, want: Want, attempted: Attempted,
): void {
  const { doing, now } = attempted;
  const short = obstacle(pool, want, now);
  if (short === undefined) return;
  const { what, found } = short;
  const advice = pool.isNew === true ? "" : ` (${raiseAdvice(pool.id, what)})`;
  throw new Refusal("BUDGET", `Cannot ${doing}: agent run "${pool.id}": ${found}${advice}`);
}

/** The words about a limit that was not so far used up before. */
export function newsOf(group: Counted, more: Partial<Spent>, at: number): Event[] {
  const used = plus(group.used, more);
  const news: Event[] = [];
  for (const what of BUDGET_KINDS) {
    const percent = levelOf(what, { ...group, used }, { from: group.startedAt, at });
    if (percent <= group.reached[kindIndex(what)]!) continue;
    const words = usage(what, { limits: group.limits, used });
    news.push({ type: "BudgetReached", group: group.id, at, what, percent, words });
  }
  return news;
}

/** Deadlines that have a word to say by now. */
export function deadlineNews(state: State, at: number): EventOf<"BudgetReached">[] {
  if (state.nextDeadline > at) return [];
  const due = [...state.groups.values()].filter((group) => deadlineOf(group) <= at);
  return due.map((group) => {
    const percent = levelOf("deadline", group, { from: group.startedAt, at });
    const words = usage("deadline", group);
    return { type: "BudgetReached", group: group.id, at, what: "deadline", percent, words };
  });
}

// ── what people want ─────────────────────────────────────────────────────────────────────────────

/** By its name, or by that of one of its runs. */
export function findGroup(state: State, named: string): AgentGroup {
  const run = state.runsById.get(named);
  const group = state.groups.get(named) ?? run?.group;
  if (group !== undefined) return group;
  const found = run !== undefined ? `run ${named} has no "agent" and has made no step`
    : state.groups.size === 0 ? "there are no agent runs" : "";
  throw new Refusal("NOT_FOUND", `Cannot find agent run "${named}"${found && `: ${found}`}`);
}

export function decideRaise(
  state: State, wish: CommandOf<"RaiseBudget">, { now }: Context,
): DecidedOn<"RaiseBudget"> {
  const { changes, by } = wish;
  const group = findGroup(state, wish.group);
  const { id } = group;
  const doing = `raise the budget of agent run "${id}"`;
  if (!isOpenGroup(group)) {
    throw new Refusal("CONFLICT", `Cannot ${doing}: all its runs have ended`);
  }
  if (changes.length === 0) throw new Refusal("INVALID", `Cannot ${doing}: nobody says to what`);
  let { limits } = group;
  for (const change of changes) {
    const next = raised(limits, change, now);
    if (typeof next === "string") throw new Refusal("INVALID", `Cannot ${doing}: ${next}`);
    limits = next;
  }
  return {
    events: [{ type: "BudgetRaised", group: id, at: now, limits, by }],
    effects: NO_EFFECTS,
    reply: { group: id, limits },
  };
}
