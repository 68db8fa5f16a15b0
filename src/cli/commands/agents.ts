/**
 * `titan agents`: agent runs, what each has used of its budget, and a larger one for it.
 *
 *     titan agents                 one line for each
 *     titan agents ID              its budget, its stages, its jobs as a tree
 *     titan agents budget ID       another limit, by which a paused one goes on
 *     titan agents cancel ID       an end for all its runs
 *     titan agents steps, fork     see agents-steps.ts
 *
 * Test: test/18-agents.list.test.ts
 */
import { agentJson, agentReportJson, limitsJson } from "#rows";
import type { RunCalls } from "#calls";
import type { AgentInfo, BudgetChange } from "#sdk";
import { BUDGET_KINDS, jobCounts, MICROS_PER_USD, type BudgetKind } from "#wire";
import { openMaster } from "../address.ts";
import { budgetLines, stageRows, treeLines, usedText } from "../agent-view.ts";
import type { Call, Command } from "../command.ts";
import { CliError, EXIT, isRpcError, UsageError } from "../exit.ts";
import { forkRun, showSteps } from "./agents-steps.ts";
import { durationText, meantHint, oneLine, plural, table } from "../text.ts";

const WORDS = ["budget", "cancel", "steps", "fork"] as const;
type Word = (typeof WORDS)[number];

export const agents: Command = {
  name: "agents",
  summary: "list agent runs and what they have used; raise a budget; cancel all of one",
  usage: "[ID | WORD ID]",
  args: [0, 2],
  flags: {
    jobs: limitFlag("N", "jobs"),
    depth: limitFlag("N", "how deep jobs may add jobs"),
    "fan-out": limitFlag("N", "jobs that one job may add"),
    steps: limitFlag("N", "steps"),
    tokens: limitFlag("N", "tokens"),
    usd: limitFlag("N", "US dollars"),
    deadline: limitFlag("TIME", "time from now (90s, 10m, 2h), or from the old deadline"),
    from: { type: "string", value: "STEP", summary: "with fork: the last step that it takes over" },
    set: {
      type: "string", value: "STEP=JSON", many: true, summary: "with fork: another result for it",
    },
  },
  words: WORDS,
  notes: [
    "ID is the name of an agent run, or the id of one of its runs; the beginning is enough.",
    "budget: --usd 10 makes 10 the limit, --usd +5 adds 5 to it. A limit is only ever raised. " +
      "Runs that were PAUSED by it go on, and nothing that was paid for is done again.",
    "cancel: all its runs, as titan cancel does with one.",
    "steps RUN[/JOB]: what its steps have done, with their results.",
    "fork RUN --from STEP: a new run of the same pipeline, which has what the steps up to that " +
      "one have done, and runs the others. STEP is NAME#2, or JOB:NAME#2.",
  ],
  examples: [
    "titan agents",
    "titan agents research-7k2m",
    "titan agents budget research-7k2m --usd +5 --deadline +1h",
    "titan agents cancel research-7k2m",
    "titan agents steps research-7k2m/agent",
    "titan agents fork research-7k2m --from search#2 --set plan='[\"the moon\"]'",
  ],
  async run(call: Call): Promise<number> {
    const [first, second] = call.args;
    const changes = await changesOf(call);
    if (second === undefined) {
      if (changes.length > 0) {
        throw new UsageError("Cannot raise a budget: of which agent run?",
          "titan agents budget ID --usd +5");
      }
      return first === undefined ? listAll(call) : show(call, first);
    }
    if (!isWord(first!)) {
      const hint = meantHint(first!, WORDS);
      throw new UsageError(`Cannot run titan agents ${first}: there is no such word${hint}`);
    }
    if (first === "steps") return showSteps(call, second);
    if (first === "fork") return forkRun(call, second);
    return first === "budget" ? raise(call, second, changes) : cancel(call, second);
  },
};

function limitFlag(value: string, what: string) {
  return { type: "string", value: `[+]${value}`, summary: `with budget: ${what}` } as const;
}

function isWord(word: string): word is Word {
  return (WORDS as readonly string[]).includes(word);
}

// ── reading ──────────────────────────────────────────────────────────────────────────────────────

async function listAll(call: Call): Promise<number> {
  const { context } = call;
  const all = await (await openMaster(call)).agents();
  if (call.json) context.json(all.map(agentJson));
  else if (all.length === 0) {
    context.note("titan: there are no agent runs; a pipeline with `agent` makes one");
  } else {
    const head = ["AGENT", "STATUS", "JOBS", "STEPS", "TOKENS", "USD", "TIME", "QUESTIONS"];
    context.out(table(head, all.map(lineOf), context.columns));
  }
  return EXIT.OK;
}

function lineOf(agent: AgentInfo): string[] {
  const { id, status, startedAt, endedAt, questions } = agent;
  const sums = (["jobs", "steps", "tokens", "usd"] as const).map((what) => usedText(agent, what));
  const time = durationText((endedAt ?? Date.now()) - startedAt);
  return [id, status, ...sums, time, questions === 0 ? "" : String(questions)];
}

async function show(call: Call, typed: string): Promise<number> {
  const { context } = call;
  const report = await meant(await openMaster(call), typed, (client, id) => client.agent(id));
  if (call.json) context.json(agentReportJson(report));
  else {
    const { agent, jobs } = report;
    const { COMPLETED } = jobCounts(agent);
    const done = `${COMPLETED} of ${plural(jobs.length, "job")} completed`;
    const took = durationText((agent.endedAt ?? Date.now()) - agent.startedAt);
    context.out(`${agent.id} ${agent.status} after ${took} (${done})`);
    if (agent.reason !== "") context.out(`  ${oneLine(agent.reason)}`);
    for (const line of budgetLines(agent)) context.out(`  ${line}`);
    context.out("");
    const head = ["STAGE", "JOBS", "STEPS", "TOKENS", "USD", "TIME"];
    context.out(table(head, stageRows(jobs, Date.now()), context.columns));
    context.out("");
    for (const line of treeLines(report, Date.now())) context.out(line);
    if (agent.questions > 0) context.note("titan: titan gates shows what it asks");
  }
  return EXIT.OK;
}

/** Does it for an agent run whose name begins like this, if there is one such. */
async function meant<T>(
  client: RunCalls, typed: string, work: (client: RunCalls, id: string) => Promise<T>,
): Promise<T> {
  try {
    return await work(client, typed);
  } catch (error) {
    if (!isRpcError(error, "NOT_FOUND")) throw error;
    const names = (await client.agents()).map(({ id }) => id);
    const found = names.filter((name) => name.startsWith(typed));
    if (found.length === 1) return work(client, found[0]!);
    const several = found.length > 1 ? `: it may be ${found.slice(0, 3).join(", ")}` : "";
    const hint = several || meantHint(typed, names);
    throw new CliError(EXIT.ERROR, `${(error as Error).message}${hint}`, {
      advice: names.length > 0 ? "titan agents lists them" : undefined,
    });
  }
}

// ── changing ─────────────────────────────────────────────────────────────────────────────────────

async function raise(call: Call, typed: string, changes: BudgetChange[]): Promise<number> {
  const { context } = call;
  if (changes.length === 0) {
    throw new UsageError("Cannot raise a budget: to what?",
      `titan agents budget ${typed} --usd +5`);
  }
  const { person: by } = context;
  const { group, limits } = await meant(await openMaster(call), typed, (client, id) =>
    client.raiseBudget(id, changes, { by }));
  if (call.json) context.json({ id: group, limits: limitsJson(limits) });
  else context.out(`${group} may go on; titan agents ${group} shows its budget`);
  return EXIT.OK;
}

async function cancel(call: Call, typed: string): Promise<number> {
  const { context } = call;
  const { group, runs, jobs } = await meant(await openMaster(call), typed, (client, id) =>
    client.cancelAgent(id));
  if (call.json) context.json({ id: group, runs, jobs });
  else if (runs === 0) context.out(`${group} had ended already`);
  else context.out(`${group} is cancelling (${plural(runs, "run")}, ${plural(jobs, "job")})`);
  return EXIT.OK;
}

/** @throws {UsageError} for what is no amount */
async function changesOf(call: Call): Promise<BudgetChange[]> {
  const changes: BudgetChange[] = [];
  for (const what of BUDGET_KINDS) {
    const flag = what.replace("_", "-");
    const text = call.text(flag);
    if (text === undefined) continue;
    const add = text.startsWith("+");
    changes.push({ what, add, amount: await amountOf(what, text.slice(add ? 1 : 0), flag) });
  }
  return changes;
}

async function amountOf(what: BudgetKind, text: string, flag: string): Promise<number> {
  const wrong = (wanted: string): UsageError =>
    new UsageError(`Cannot use --${flag} ${text}: it must be ${wanted}`);
  if (what === "deadline") {
    const { parseDuration } = await import("#pipeline");
    const ms = parseDuration(text);
    if (typeof ms === "number" && ms > 0) return ms;
    throw wrong("a duration such as 90s, 10m or 2h, or +10m");
  }
  const isUsd = what === "usd";
  const amount = Number(/^\d{1,15}(?:\.\d{1,6})?$/.test(text) ? text : NaN);
  const units = isUsd ? Math.round(amount * MICROS_PER_USD) : amount;
  if (Number.isSafeInteger(units) && units > 0) return units;
  throw wrong(isUsd ? "dollars, such as 5 or +0.50, to the millionth" : "a whole number, or +N");
}
