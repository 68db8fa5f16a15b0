/**
 * Lesson 19: Agents: runs grouped by `agent_run_id`, with their tree, their time and their brakes.
 *
 * Test: test/19-dashboard.approvals.test.ts
 */
import {
  barOf, brakesOf, spanOf, stagesOf, treeOf, type Brake, type TreeRow,
} from "../agents.ts";
import { badge, lookOf } from "../parts/badge.ts";
import {
  command, button, empty, loading, page, pageWith, namedRow, section,
} from "../parts/page.ts";
import { stepNeeds, stepsAddress, stepsTree } from "../parts/steps.ts";
import { ago, took } from "../parts/time.ts";
import { pathTo } from "../router.ts";
import type { Agent, AgentJob, Run } from "../rows.ts";
import { answerOf, type State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context, View } from "./view.ts";

const LIST = "agents";

/** An agent run with its runs, and their jobs as tasks. */
type Report = Omit<Agent, "runs"> & {
  readonly runs: readonly Run[];
  readonly tasks: readonly AgentJob[];
};

function agentPath(name: string): string {
  return `agents/${encodeURIComponent(name)}`;
}

export const agents: View = {
  name: "Agents",
  title: ({ params }) => params["agent"] ?? "Agents",
  needs: (context) => {
    const { agent } = context.params;
    const path = agent === undefined ? LIST : agentPath(agent);
    return [{ type: "get", path, everyMs: 1_000 }, ...stepNeeds(context)];
  },
  render: (state, context) => {
    const { agent } = context.params;
    return agent === undefined ? agentList(state) : oneAgent(agent, state, context);
  },
};

function agentList(state: State): VNode {
  const found = answerOf<Agent[]>(state, LIST);
  if (found === undefined) return page("Agents", loading(state, LIST));
  if (found.length === 0) {
    return page("Agents", empty("No agent has run here.", "An agent run begins with ",
      command("agent: {id: my-research}"), " in a pipeline, or with a job's first step."));
  }
  const newest = [...found].reverse();
  return page("Agents", h("ul", { class: "agents" }, newest.map((agent) => h("li", {
    key: agent.id, class: "card agent",
  },
    h("h2", null, h("a", { href: pathTo(["agents", agent.id]) }, agent.id), " ",
      badge(agent.status)),
    facts(agent, state.now),
    reason(agent),
    brakes(brakesOf(agent, state.now))))));
}

function facts(agent: Agent, now: number): VNode {
  const { startedAt, endedAt, runs, used, questions } = agent;
  return h("p", { class: "agent-facts" },
    h("span", null, "began ", ago(startedAt, now)),
    h("span", null,
      `${endedAt === null ? "running for" : "took"} ${took(startedAt, endedAt, now)}`),
    h("span", null, countOf(runs, "run")), h("span", null, countOf(used.jobs, "job")),
    h("span", null, countOf(used.steps, "step")),
    h("span", null, `${used.tokens.toLocaleString("en-GB")} tokens`),
    h("span", null, money(used.usd)),
    questions > 0 ? h("a", { href: "/approvals" }, countOf(questions, "open question")) : null);
}

function countOf(count: number, what: string): string {
  return `${count.toLocaleString("en-GB")} ${what}${count === 1 ? "" : "s"}`;
}

function money(usd: number): string {
  return usd === 0 ? "0 USD" : `${usd < 0.1 ? usd.toFixed(4) : usd.toFixed(2)} USD`;
}

function reason({ reason: why }: Agent): Child {
  return why === "" ? null : h("p", { class: "agent-reason" }, why);
}

function brakes(found: readonly Brake[]): Child {
  if (found.length === 0) return null;
  return h("ul", { class: "brakes" }, found.map(({ name, used, reserved, limit, text }) => {
    const part = (value: number): string => `${Math.min(100, (value / limit) * 100)}%`;
    const isNear = used + reserved >= 0.8 * limit;
    return h("li", { key: name, class: isNear ? "brake brake-near" : "brake" },
      h("span", { class: "brake-name" }, name), h("span", { class: "brake-text" }, text),
      h("span", { class: "brake-bar", "aria-hidden": "true" },
        h("span", { class: "brake-used", style: { width: part(used) } }),
        h("span", { class: "brake-held", style: { width: part(reserved) } })));
  }));
}

function oneAgent(name: string, state: State, context: Context): VNode {
  const path = agentPath(name);
  const report = answerOf<Report>(state, path);
  const below = h("a", { href: "/agents" }, "All agent runs");
  if (report === undefined) return pageWith({ heading: name, below }, loading(state, path));
  const { runs, tasks: jobs } = report;
  const agent: Agent = { ...report, runs: runs.length };
  const beside = [badge(agent.status), stopper(agent, state, context)];
  return pageWith({ heading: name, below, beside },
    facts(agent, state.now), reason(agent),
    brakes(brakesOf(agent, state.now)),
    raiser(agent, state, context),
    stages(jobs, state.now),
    section("Jobs", tree(jobs, state.now, context)),
    stepsTree(state, context),
    section("Runs", h("ul", { class: "rows" }, runs.map(({ id, status, submittedAt }) =>
      h("li", { key: id }, badge(status), " ", h("a", { href: pathTo(["runs", id]) }, id), " ",
        ago(submittedAt, state.now))))));
}

const isOver = ({ endedAt }: Agent): boolean => endedAt !== null;

function stopper(agent: Agent, state: State, context: Context): Child {
  if (isOver(agent)) return null;
  const key = `cancel agent ${agent.id}`;
  const ask = (value: boolean) => (): void => context.dispatch({ type: "ui", key, value });
  if (state.ui[key] !== true) return button("Cancel…", ask(true), { kind: "danger" });
  const cancel = (): void => void context.act(async () => {
    await context.api.post(`${agentPath(agent.id)}/cancel`);
    context.refresh();
    ask(false)();
  }, `${agent.id} is cancelled`);
  return [
    button(`Cancel all of ${agent.id}`, cancel, { kind: "danger", key: "sure" }),
    button("Not now", ask(false), { key: "not" }),
  ];
}

/** What can be raised, which limit that is, and in which unit a person types it. */
const RAISABLE = [
  { what: "jobs", limit: "jobs", words: "jobs", unit: 1 },
  { what: "depth", limit: "depth", words: "depth", unit: 1 },
  { what: "fan_out", limit: "fanOut", words: "jobs by one job", unit: 1 },
  { what: "steps", limit: "steps", words: "steps", unit: 1 },
  { what: "tokens", limit: "tokens", words: "tokens", unit: 1 },
  { what: "usd", limit: "usd", words: "dollars", unit: 1 },
  { what: "deadline", limit: "deadlineAt", words: "minutes", unit: 60_000 },
] as const;

/** More room for a run that its budget has paused, or soon will. */
function raiser(agent: Agent, state: State, context: Context): Child {
  const { limits } = agent;
  const kinds = RAISABLE.filter(({ limit }) => limits[limit] !== null);
  if (isOver(agent) || kinds.length === 0) return null;
  const key = `raise ${agent.id}`;
  const typedIn = ({ ui }: State): Readonly<Record<string, string>> =>
    (ui[key] ?? {}) as Readonly<Record<string, string>>;
  const typed = typedIn(state);
  const raise = (event: Event): void => {
    event.preventDefault();
    // As it stands in the form: the last key may not have been drawn yet.
    const form = new FormData(event.target as HTMLFormElement);
    const changes = kinds.map(({ what, unit }) =>
      ({ what, amount: Number(form.get(what)) * unit, add: true }))
      .filter(({ amount }) => amount !== 0);
    void context.act(async () => {
      if (changes.length === 0) throw new Error("Say by how much the budget is to be raised");
      await context.api.post(`${agentPath(agent.id)}/budget`, { changes });
      context.dispatch({ type: "ui", key, value: {} });
      context.refresh();
    }, "The budget is raised, and what waited for it goes on");
  };
  return h("form", { class: "raise", onsubmit: raise },
    kinds.map(({ what, words }) => h("label", { key: what, class: "field field-small" },
      h("span", null, `More ${words}`),
      h("input", {
        type: "text", name: what, inputmode: "decimal", value: typed[what] ?? "",
        placeholder: "0",
        oninput: ({ target }: InputEvent) => context.dispatch({
          type: "ui", key,
          value: { ...typedIn(context.latest()), [what]: (target as HTMLInputElement).value },
        }),
      }))),
    h("button", { type: "submit", class: "button button-main" }, "Raise the budget"));
}

function stages(jobs: readonly AgentJob[], now: number): Child {
  const found = stagesOf(jobs, now);
  if (found.length === 0) return null;
  return section("Stages", h("ol", { class: "stages", "aria-label": "Stages" },
    found.map((stage) =>
      h("li", { key: stage.name }, h("strong", null, stage.name),
        h("span", null, `${countOf(stage.jobs, "job")}, ${took(0, stage.ms, now)}`),
        h("span", { class: "soft" }, `${stage.tokens.toLocaleString("en-GB")} tokens, ` +
          money(stage.usd))))));
}

const TREE_HEADS = ["Job", "State", "Stage", "Steps", "Tokens", "Cost", "When"];

function tree(jobs: readonly AgentJob[], now: number, context: Context): VNode {
  const span = spanOf(jobs, now);
  const numbers = new Set(["Steps", "Tokens", "Cost"]);
  return h("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": "jobs as a tree" },
    h("table", { class: "table tree" },
      h("thead", null, h("tr", null, TREE_HEADS.map((name) =>
        h("th", {
          scope: "col", key: name, class: numbers.has(name) ? "number" : undefined,
        }, name)))),
      h("tbody", null, treeOf(jobs).map((row) => treeRow(row, span, context)))));
}

function treeRow(row: TreeRow, span: { from: number; to: number }, context: Context): VNode {
  const { job, depth, below } = row;
  const { run, id, status, stage } = job;
  const bar = barOf(job, span);
  const sum = (own: string, all: string): Child =>
    below === 0 || own === all ? own : [own, h("span", { class: "soft" }, ` of ${all}`)];
  const count = (value: number): string => value.toLocaleString("en-GB");
  const steps = sum(count(job.steps), count(row.steps));
  return namedRow(TREE_HEADS, { key: `${run}/${id}`, "data-row": true },
    h("th", { scope: "row", style: { "padding-left": `${12 + 18 * depth}px` } },
      h("a", { href: pathTo(["runs", run], { job: id }) }, id)),
    h("td", null, badge(status)), h("td", null, stage),
    h("td", { class: "number" }, job.steps === 0 ? steps : h("a", {
      href: stepsAddress(context, { run, job: id }), "aria-label": `Steps of ${id}`,
    }, steps)),
    h("td", { class: "number" }, sum(count(job.tokens), count(row.tokens))),
    h("td", { class: "number" }, sum(money(job.usd), money(row.usd))),
    h("td", { class: "fall" }, bar === undefined ? null : h("span", {
      class: `fall-bar state-${lookOf(status)}`, "aria-hidden": "true",
      style: { "margin-left": `${bar.left}%`, width: `${bar.width}%` },
    })));
}
