/**
 * Lesson 19: the job that is chosen: its state and why, its output, its result, what it was given.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { logTree } from "../logs/log.ts";
import { badge } from "../parts/badge.ts";
import { icon } from "../parts/icon.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import type { Job } from "../rows.ts";
import { aboutTree, inputsTree, resultTree, type PanelProps } from "./about.ts";
import { JOB_TABS, type JobTab } from "./selection.ts";
import { tookOf, whyOf } from "./table.ts";

const TABS: Readonly<Record<JobTab, string>> = {
  log: "Output", result: "Result", inputs: "Inputs", about: "Details",
};
/** A job that was tried a hundred times has a list, and no hundred tabs. */
const MAX_ATTEMPTS = 8;

export function panelTree(props: PanelProps): VNode {
  const { job, selection, now, address, buttons } = props;
  const took = tookOf(job, now);
  const why = whyOf(job);
  return h(
    "section",
    { class: "panel", "aria-label": `job ${job.id}`, key: "panel" },
    h(
      "header",
      { class: "panel-head" },
      h("h2", { class: "panel-name" }, job.id),
      badge(job.status),
      took === "" ? null : h("span", { class: "panel-took" }, took),
      h("span", { class: "panel-space" }),
      buttons,
      h(
        "a",
        {
          class: "button button-quiet panel-close",
          href: address({ job: undefined }),
          "aria-label": "Close the job",
        },
        icon("close"),
      ),
    ),
    why === "" ? null : h("p", { class: `panel-why state-${lookOfWhy(job)}` }, why),
    h(
      "nav",
      { class: "tabs", "aria-label": "Parts of the job" },
      JOB_TABS.map((tab) =>
        h(
          "a",
          {
            key: tab,
            class: "tab",
            href: address({ tab, line: undefined }),
            "aria-current": tab === selection.tab ? "page" : undefined,
          },
          TABS[tab],
        ),
      ),
    ),
    panelContent(props),
  );
}

function lookOfWhy({ status, failure }: Job): string {
  return failure === null || /PENDING|RUNNING/.test(status) ? "pending" : "failed";
}

function panelContent(props: PanelProps): Child {
  switch (props.selection.tab) {
    case "log": return [attempts(props), output(props)];
    case "result": return resultTree(props);
    case "inputs": return inputsTree(props);
    case "about": return aboutTree(props);
  }
}

function attempts({ job, selection, address }: PanelProps): Child {
  if (job.attempt < 2) return null;
  const first = Math.max(1, job.attempt - MAX_ATTEMPTS + 1);
  const all = Array.from({ length: job.attempt - first + 1 }, (_, at) => first + at);
  const shown = selection.attempt ?? job.attempt;
  return h("nav", { class: "attempts", "aria-label": "Attempts" }, all.map((attempt) => h("a", {
    key: attempt, class: "attempt", "aria-current": attempt === shown ? "true" : undefined,
    href: address({ attempt: attempt === job.attempt ? undefined : attempt, line: undefined }),
  }, `Attempt ${attempt}`)));
}

function output({ run, job, selection, address, isPast }: PanelProps): Child {
  const attempt = selection.attempt ?? job.attempt;
  const path = `/api/v1/runs/${encodeURIComponent(run)}/jobs/${encodeURIComponent(job.id)}/logs`;
  const isOpen = job.status === "RUNNING" && attempt === job.attempt && !isPast;
  const lost = job.outputProblem === null ? null : h("p", { class: "note" },
    `${job.outputLost.toLocaleString()} bytes of output are lost: ${job.outputProblem}.`);
  return [lost, logTree({
    label: `output of ${job.id}`, isOpen, line: selection.line,
    source: attempt === 0 ? undefined : `${path}?as=json&attempt=${attempt}`,
    empty: attempt === 0 ? "It has not started, so it has printed nothing." : "It printed nothing.",
    download: attempt === 0 ? path : `${path}?attempt=${attempt}`,
    hrefOf: (line) => address({ line, attempt: selection.attempt }),
  })];
}
