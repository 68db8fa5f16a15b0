/**
 * Lesson 19: Workers: all of them as a table, and the pools that start them.
 *
 * Test: test/19-dashboard.views.test.ts
 */
import { plural } from "#base";
import { badge } from "../parts/badge.ts";
import {
  button, command, empty, loading, namedRow, pageWith, section,
} from "../parts/page.ts";
import { ago } from "../parts/time.ts";
import {
  beatText, launchButtons, noWorker, slotBar, workerActions,
} from "../parts/worker.ts";
import type { Launch, Pool, Worker } from "../rows.ts";
import { answerOf, type State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context, View } from "./view.ts";

export const workers: View = {
  name: "Workers",
  needs: () => ["workers", "pools"].map((path) => ({ type: "get", path, everyMs: 2_000 })),
  render(state, context) {
    const pools = answerOf<Pool[]>(state, "pools") ?? [];
    return pageWith({ heading: "Workers", beside: launchButtons(pools, context) },
      workerTable(state, context),
      section("Pools", pools.length === 0
        ? empty("No pool is set up.", "Workers that come and go with the load: ",
          command("titan master --pools pools.yaml"))
        : h("ul", { class: "cards" }, pools.map((pool) => poolCard(pool, context)))));
  },
};

const WORKER_HEADS = [
  "Worker", "State", "Slots", "Tags", "Heartbeat", "Version", "Pool", "Joined", "",
];

function workerTable(state: State, context: Context): Child {
  const found = answerOf<Worker[]>(state, "workers");
  if (found === undefined) return loading(state, "workers");
  if (found.length === 0) return noWorker(context);
  const region = { tabindex: 0, role: "region", "aria-label": "Workers" };
  return h("div", { class: "scrolls table-frame", ...region },
    h("table", { class: "table" },
      h("thead", null, h("tr", null, WORKER_HEADS.map((text) =>
        h("th", {
          scope: "col", key: text, class: text === "" ? undefined : `cell-${text.toLowerCase()}`,
        }, text === "" ? null : text)))),
      h("tbody", null, found.map((worker) => workerRow(worker, state, context)))));
}

function workerRow(worker: Worker, { now }: State, context: Context): VNode {
  const { name, tags, slots, running, version, pool, joinedAt, remote } = worker;
  return namedRow(WORKER_HEADS, { key: name, "data-row": true, tabindex: -1 },
    h("th", { scope: "row", title: remote }, name),
    h("td", null, badge(worker.state)),
    h("td", { class: "cell-slots" }, slotBar(running, slots, name)),
    h("td", null, h("ul", { class: "tags" },
      tags.map((tag) => h("li", { key: tag, class: "tag" }, tag)))),
    h("td", { title: beatTitle(worker) }, beatText(worker)),
    h("td", { class: "cell-version" }, version),
    h("td", null, pool ?? h("span", { class: "soft" }, "none")),
    h("td", { class: "cell-joined" }, ago(joinedAt, now)),
    h("td", { class: "fall" }, workerActions(worker, context)));
}

function beatTitle({ beatLateMs, beatLateMaxMs }: Worker): string {
  return `Of late ${beatLateMs ?? 0} ms late at worst, and ${beatLateMaxMs ?? 0} ms since it began`;
}

function poolCard(pool: Pool, context: Context): VNode {
  const { name, tags, min, max, wanted, running, starting, leaving, why, driver } = pool;
  const launch = (): Promise<void> => context.act(async () => {
    await context.api.post(`pools/${encodeURIComponent(name)}/launch`);
    context.refresh();
  }, `A worker of pool ${name} is on its way`);
  return h("li", { key: name, class: "card", "data-row": true },
    h("div", { class: "card-head" }, h("h3", null, name),
      h("span", { class: "soft" }, driver), h("span", { class: "grow" }),
      button("Launch", () => void launch(), {
        kind: "quiet", icon: "plus", label: `Launch a worker of ${name}`,
      })),
    h("ul", { class: "tags" }, tags.map((tag) => h("li", { key: tag, class: "tag" }, tag))),
    h("p", null, `${running} running, ${starting} starting, ${leaving} leaving; wants ${wanted} `,
      h("span", { class: "soft nowrap" }, `(${min} to ${max})`)),
    why === "" ? null : h("p", { class: "soft" }, why),
    pool.lastFailure === null ? null
      : h("p", { class: "state-failed" },
        `${plural(pool.failures, "failure")}; the last: ${pool.lastFailure}`),
    h("ul", { class: "card-jobs" }, pool.workers.map(launchLine)));
}

function launchLine({ name, state, reason, handle }: Launch): VNode {
  return h("li", { key: name, title: handle ?? "" }, h("strong", null, name), ` ${state} `,
    reason === "" ? null : h("span", { class: "soft" }, reason));
}
