/**
 * Lesson 19: Runs: every run as a link.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { command, empty, page } from "../parts/page.ts";
import { badge } from "../parts/badge.ts";
import { ago } from "../parts/time.ts";
import { pathTo } from "../router.ts";
import { h, type Child } from "../vdom.ts";
import type { State } from "../state.ts";
import type { View } from "./view.ts";

export const runs: View = {
  name: "Runs",
  render: (state) => page("Runs", list(state)),
};

function list({ runs: all, now }: State): Child {
  if (all === undefined) return h("p", { class: "loading" }, "Loading…");
  if (all.size === 0) return empty("No run yet.", "Start one: ", command("titan run FILE"));
  const newest = [...all.values()].sort((a, b) => b.submittedAt - a.submittedAt);
  return h("ul", { class: "rows" }, newest.map(({ id, status, submittedAt }) =>
    h("li", { key: id }, badge(status), " ", h("a", { href: pathTo(["runs", id]) }, id), " ",
      ago(submittedAt, now))));
}
