/**
 * Lesson 19: Overview: the workers, what waits for them and why, and what ran lately.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { button, command, empty, loading, page, section } from "../parts/page.ts";
import { badge } from "../parts/badge.ts";
import { ago } from "../parts/time.ts";
import { pathTo } from "../router.ts";
import type { Worker } from "../rows.ts";
import { answerOf, type State } from "../state.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Context, View } from "./view.ts";

export const overview: View = {
  name: "Overview",
  needs: () => [{ type: "get", path: "workers", everyMs: 2_000 }],
  render: (state, context) => page("Overview",
    section("Workers", workers(state, context)), section("Recent runs", recent(state))),
};

function workers(state: State, context: Context): Child {
  const found = answerOf<Worker[]>(state, "workers");
  if (found === undefined) return loading(state, "workers");
  if (found.length === 0) {
    return empty("No worker is connected.", "Start one: ", command("titan worker"));
  }
  return h("ul", { class: "cards" }, found.map((worker) => card(worker, state, context)));
}

function card(worker: Worker, state: State, context: Context): VNode {
  const { name, tags, slots, running, draining, version, joinedAt } = worker;
  const drain = (): Promise<void> => context.act(async () => {
    await context.api.post(`workers/${encodeURIComponent(name)}/drain`, { undo: draining });
    context.refresh();
  });
  return h("li", { key: name, class: "card" },
    h("h3", null, name, " ", badge(worker.state)),
    h("p", null, tags.join(", ")),
    h("meter", { min: 0, max: slots, value: running, "aria-label": `slots in use of ${name}` }),
    h("p", null, `${running} of ${slots} slots, ${version}, joined `, ago(joinedAt, state.now)),
    button(draining ? "Give work again" : "Drain", () => void drain(), {
      label: `${draining ? "Give work again to" : "Drain"} ${name}`,
    }));
}

function recent({ runs, now }: State): Child {
  if (runs === undefined) return h("p", { class: "loading" }, "Loading…");
  if (runs.size === 0) return empty("No run yet.", "Start one: ", command("titan run FILE"));
  const newest = [...runs.values()].sort((a, b) => b.submittedAt - a.submittedAt).slice(0, 8);
  return h("ul", { class: "rows" }, newest.map(({ id, status, submittedAt }) =>
    h("li", { key: id }, badge(status), " ", h("a", { href: pathTo(["runs", id]) }, id), " ",
      ago(submittedAt, now))));
}
