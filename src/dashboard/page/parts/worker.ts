/**
 * Lesson 19: workers: what runs on them, as a card, and what can be done with them.
 *
 * Test: test/19-dashboard.views.test.ts
 */
import { durationText } from "#base";
import { pathTo } from "../router.ts";
import type { Pool, Worker, WorkerJob } from "../rows.ts";
import type { State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context } from "../views/view.ts";
import { badge } from "./badge.ts";
import { icon } from "./icon.ts";
import { button, command, empty } from "./page.ts";
import { ago, took } from "./time.ts";

/** Jobs of a card; more are a number. */
const MAX_JOBS = 6;
/** Heartbeats that leave a worker later than this are worth a word: it loses its jobs at four. */
const LATE_MS = 1_000;

/**
 * What lives on a worker: as the master lists it, and of runs that the page follows as their rows
 * say, which are newer. Pure.
 */
export function placedOn(
  { name, jobs: listed }: Worker, followed: State["jobs"],
): readonly WorkerJob[] {
  const found = listed.filter(({ run, job }) => {
    const row = followed.get(run)?.get(job);
    return row === undefined || (row.status === "RUNNING" && row.worker === name);
  });
  const known = new Set(found.map(({ run, job }) => `${run}/${job}`));
  for (const [run, rows] of followed) {
    for (const { id: job, status, worker, attempt, startedAt, service } of rows.values()) {
      if (status !== "RUNNING" || worker !== name || known.has(`${run}/${job}`)) continue;
      found.push({
        run, job, attempt, startedAt: startedAt ?? 0,
        service: service === undefined ? null
          : { name: String(service["name"]), state: String(service["state"]) },
      });
    }
  }
  return found;
}

export function workerCard(
  worker: Worker, { state, context }: { state: State; context: Context },
): VNode {
  const { name, tags, slots, running } = worker;
  return h("li", { key: name, class: `card worker-card edge-${edgeOf(tags)}`, "data-row": true },
    h("div", { class: "card-head" },
      h("h3", null, name), badge(worker.state), h("span", { class: "grow" }),
      workerActions(worker, context)),
    h("ul", { class: "tags", "aria-label": `Tags of ${name}` },
      tags.map((tag) => h("li", { key: tag, class: "tag" }, tag))),
    slotBar(running, slots, name),
    jobList(worker, state),
    h("p", { class: "card-foot" },
      h("span", null, "heartbeat ", beatText(worker)), h("span", null, `v${worker.version}`),
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
    h("span", { class: "slot-text" }, `${running} / ${slots}`,
      h("span", { class: "slot-unit" }, " slots")));
}

function jobList(worker: Worker, { jobs: followed, now }: State): Child {
  const placed = placedOn(worker, followed);
  if (worker.running === 0 && placed.length === 0) return h("p", { class: "idle" }, "Idle");
  const services = placed.filter(({ service }) => service !== null);
  const jobs = placed.filter(({ service }) => service === null);
  const shown = services.slice(0, MAX_JOBS).length + jobs.slice(0, MAX_JOBS).length;
  const rest = Math.max(worker.running, placed.length) - shown;
  return h("ul", { class: "card-jobs", "aria-label": `On ${worker.name}` },
    services.slice(0, MAX_JOBS).map(serviceLine),
    jobs.slice(0, MAX_JOBS).map((job) => jobLine(job, now)),
    rest > 0 ? h("li", { key: "rest", class: "soft" }, `and ${rest} more`) : null);
}

function jobLine({ run, job, startedAt }: WorkerJob, now: number): VNode {
  return h("li", { key: `${run}/${job}` },
    h("span", { class: "pulse", "aria-hidden": "true" }),
    h("a", { href: pathTo(["runs", run], { job }), title: `${run}/${job}` },
      h("span", { class: "quiet" }, `${run}/`), job),
    h("span", { class: "run-took" }, startedAt === 0 ? "" : took(startedAt, null, now)));
}

function serviceLine({ run, job, service }: WorkerJob): VNode {
  const { name, state } = service!;
  const [replica = ""] = /\.\d+$/.exec(job) ?? [];
  return h("li", { key: `${run}/${job}` }, icon("services"),
    h("a", { href: pathTo(["services", name]), title: `${run}/${job}` }, name, replica),
    badge(state));
}

/** How long ago it was heard of, and how late its heartbeats leave it if that is worth a word. */
export function beatText({ connected, heardMs, beatLateMs }: Worker): VNode {
  if (!connected) return h("span", { class: "state-dead" }, "missing");
  const age = heardMs === null ? "not yet" : `${secondsText(heardMs)} ago`;
  const lateMs = beatLateMs ?? 0;
  const isLate = lateMs > LATE_MS;
  return h("span", {
    class: isLate ? "state-waiting" : "", title: `At worst ${lateMs} ms late of late`,
  }, isLate ? `${age}, ${durationText(lateMs)} late` : age);
}

/** A worker that beats each second was heard of less than a second ago. */
function secondsText(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
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
      label: `${draining ? "Resume" : "Drain"} ${name}`,
    }),
    pool === null ? null : button("Retire", () => void retire(), { label: `Retire ${name}` }));
}

/** A page knows its own port, and the master's where both are the usual ones. */
export function noWorker({ url: { hostname, port } }: Context): VNode {
  const master = port === "9080" ? `${hostname}:9090` : `${hostname}:PORT`;
  return empty("No worker is connected.", "Start one with ",
    command(`titan worker --master ${master}`));
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
