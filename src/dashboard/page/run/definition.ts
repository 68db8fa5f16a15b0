/**
 * Lesson 19: the pipeline of a run, as the master keeps it: what each job does, and under which
 * conditions.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { emitYaml } from "#yaml";
import { problem } from "../parts/page.ts";
import { answerOf, type State } from "../state.ts";
import { h, type VNode } from "../vdom.ts";

/** A text that a browser lays out in some hundred milliseconds. */
const MAX_CHARS = 400_000;

export function definitionPath(run: string): string {
  return `runs/${encodeURIComponent(run)}/definition`;
}

export function definitionTree(state: State, run: string): VNode {
  const path = definitionPath(run);
  const found = answerOf<object>(state, path);
  const error = state.loaded.get(path)?.error;
  if (found === undefined) {
    return error === undefined ? h("p", { class: "loading" }, "Loading…") : problem(error.message);
  }
  const yaml = emitYaml(found);
  const more = yaml.length - MAX_CHARS;
  return h("pre", { class: "value definition", tabindex: 0, "aria-label": `pipeline of ${run}` },
    yaml.slice(0, MAX_CHARS),
    more > 0 ? `\n# … and ${more.toLocaleString()} characters more` : "");
}
