/**
 * Lesson 19: the views, by the names that the router gives them.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import type { ViewName } from "../router.ts";
import { page } from "../parts/page.ts";
import { h } from "../vdom.ts";
import { agents } from "./agents.ts";
import { approvals } from "./approvals.ts";
import { later } from "./later.ts";
import { overview } from "./overview.ts";
import { runs } from "./runs.ts";
import { services } from "./services.ts";
import { store } from "./store.ts";
import type { View } from "./view.ts";
import { workers } from "./workers.ts";

const missing: View = {
  name: "Nothing here",
  render: (_, { url }) => page("Nothing here",
    h("p", null, `There is no view at ${url.pathname}.`),
    h("p", null, h("a", { href: "/" }, "Go to the overview"))),
};

const run = later("Run", () => import("./run.ts").then((module) => module.run),
  ({ params }) => params["run"]!);
const builder = later("Constructor", () =>
  import("./constructor.ts").then((module) => module.builder));
const past = later("History", () => import("./history.ts").then((module) => module.past));

/** Most people who come look at a run next: its code comes while they look at the first page. */
export const warmRun = run.warm;

export const VIEWS: Readonly<Record<ViewName, View>> = {
  agents, approvals, constructor: builder.view, history: past.view, missing, overview,
  run: run.view, runs, services, store, workers,
};
