/**
 * Lesson 19: workers: what runs on them, as a card, and what can be done with them.
 *
 * Test: test/19-dashboard.views.test.ts
 */
import { durationText } from "#base";
import { pathTo } from "../router.ts";
import type { Job, Pool, Worker } from "../rows.ts";
import type { State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { badge } from "./badge.ts";
import { button } from "./page.ts";
import { ago, took } from "./time.ts";

/** Jobs of a card; more are a number. */
const MAX_JOBS = 6;

export interface Placed {
  readonly run: string;
  readonly job: Job;
}

/** By worker, the jobs that run there, of the runs that the page follows. Pure. */
export function placedJobs(jobs: State["jobs"]): Map<string, Placed[]> {
  const found = new Map<string, Placed[]>();
  for (const [run, all] of jobs) {
    for (const job of all.values()) {
      if (job.status !== "RUNNING" || job.worker === null) continue;
      const before = found.get(job.worker);
      if (before === undefined) found.set(job.worker, [{ run, job }]);
      else before.push({ run, job });
    }
  }
  return found;
}

export function workerCard(
  worker: Worker, placed: readonly Placed[], { state, context }: { state: State; context: Context },
): VNode {
  const { name, tags, slots, running } = worker;
  return h("li", { key: name, class: `card worker-card edge-${edgeOf(tags)}`, "data-row": true },
    h("div", { class: "card-head" },
      h("h3", null, name), badge(worker.state), h("span", { class: "grow" }),
      workerActions(worker, context)),
    h("ul", { class: "tags", "aria-label": `Tags of ${name}` },
      tags.map((tag) => h("li", { key: tag, class: "tag" }, tag))),
    slotBar(running, slots, name),
    jobList(worker, placed, state.now),
    h("p", { class: "card-foot" }, beatText(worker), h("span", null, `v${worker.version}`),
      worker.pool ? h("span", null, `pool ${worker.pool}`) : null,
      h("span", null, "joined ", ago(worker.joinedAt, state.now))));
}

/** A special machine is seen from afar. */
function edgeOf(tags: readonly string[]): string {
  if (tags.includes("GPU")) return "gpu";
  return tags.length > 1 ? "tagged" : "plain";
}

/** A box a slot, as long as they can be counted; else a bar. */
export function slotBar(running: number, slots: number, name: string): VNode {
  const label = `${running} of ${slots} slots of ${name} in use`;
  const isCountable = slots <= 24;
  const boxes = Array.from({ length: isCountable ? slots : 0 }, (_, at) =>
    h("span", { key: at, class: at < running ? "slot is-used" : "slot" }));
  const bar = h("span", { class: "slot-fill", style: { width: `${100 * running / slots}%` } });
  return h("div", { class: "slots" },
    h("div", {
      class: isCountable ? "slot-boxes" : "slot-bar", role: "meter", "aria-label": label,
      "aria-valuemin": 0, "aria-valuemax": slots, "aria-valuenow": running, title: label,
    }, isCountable ? boxes : bar),
    h("span", { class: "slot-text" }, `${running} / ${slots}`));
}

function jobList({ running }: Worker, placed: readonly Placed[], now: number): Child {
  if (running === 0 && placed.length === 0) return h("p", { class: "idle" }, "Idle");
  const rest = Math.max(running, placed.length) - Math.min(placed.length, MAX_JOBS);
  return h("ul", { class: "card-jobs" }, placed.slice(0, MAX_JOBS).map(({ run, job }) =>
    h("li", { key: `${run}/${job.id}` },
      h("span", { class: "pulse", "aria-hidden": "true" }),
      h("a", { href: pathTo(["runs", run], { job: job.id }), title: `${run}/${job.id}` },
        h("span", { class: "quiet" }, `${run}/`), job.id),
      h("span", { class: "run-took" },
        job.startedAt === null ? "" : took(job.startedAt, null, now)))),
  rest > 0 ? h("li", { key: "rest", class: "soft" }, `and ${rest} more`) : null);
}

function beatText({ connected, beatLateMs = 0 }: Worker): VNode {
  if (!connected) return h("span", { class: "state-dead" }, "no heartbeat");
  const late = beatLateMs > 1_000 ? `heartbeat ${durationText(beatLateMs)} late` : "heartbeat fine";
  return h("span", { class: beatLateMs > 1_000 ? "state-waiting" : "" }, late);
}

export function workerActions(worker: Worker, context: Context): VNode {
  const { name, draining, pool } = worker;
  const at = `workers/${encodeURIComponent(name)}`;
  const { api, refresh } = context;
  const drain = (): Promise<void> => context.act(async () => {
    await api.post(`${at}/drain`, { undo: draining });
    refresh();
  }, draining ? `${name} gets work again` : `${name} gets nothing new`);
  const retire = async (): Promise<void> => {
    const title = `Retire ${name}?`;
    const text = "It finishes its jobs, gets no more, and then ends for good.";
    if (!(await context.confirm({ title, text, verb: "Retire", danger: true }))) return;
    await context.act(async () => {
      await api.post(`${at}/retire`);
      refresh();
    }, `${name} ends once nothing runs there`);
  };
  return h("span", { class: "actions" },
    button(draining ? "Resume" : "Drain", () => void drain(), {
      kind: "quiet", label: `${draining ? "Resume" : "Drain"} ${name}`,
    }),
    pool === undefined ? null : button("Retire", () => void retire(), {
      kind: "quiet", label: `Retire ${name}`,
    }));
}

/** A button for each pool that may have another worker. */
export function launchButtons(pools: readonly Pool[], context: Context): Child {
  const launch = (pool: string): Promise<void> => context.act(async () => {
    await context.api.post(`pools/${encodeURIComponent(pool)}/launch`);
    context.refresh();
  }, `A worker of pool ${pool} is on its way`);
  return pools.map(({ name }) => button(
    pools.length === 1 ? "Launch a worker" : `Launch in ${name}`, () => void launch(name),
    { icon: "plus", key: name, label: `Launch a worker in pool ${name}` },
  ));
}
