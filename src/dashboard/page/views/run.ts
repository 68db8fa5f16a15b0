/**
 * Lesson 19: one run: its jobs and their states.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { loading, pageWith } from "../parts/page.ts";
import { badge } from "../parts/badge.ts";
import { h } from "../vdom.ts";
import type { View } from "./view.ts";

export const run: View = {
  name: "Run",
  title: ({ params }) => params["run"]!,
  needs: ({ params }) => [{ type: "run", id: params["run"]! }],
  render(state, { params }) {
    const id = params["run"]!;
    const jobs = state.jobs.get(id);
    const beside = badge(state.runs?.get(id)?.status ?? "PENDING");
    if (jobs === undefined) {
      return pageWith({ heading: id, beside }, loading(state, `runs/${encodeURIComponent(id)}`));
    }
    return pageWith({ heading: id, beside }, h("ul", { class: "rows" },
      [...jobs.values()].map((job) => h("li", { key: job.id }, badge(job.status), " ", job.id))));
  },
};
