/**
 * Lesson 19: what has changed, in words: the facts as a list with their numbers, and the four steps
 * by which the master came from a command to the chosen one, and on from it.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { plural } from "#base";
import { listTree } from "../lists/list.ts";
import { section } from "../parts/page.ts";
import { h, type Child, type VNode } from "../vdom.ts";
import { clockText, wordsOf } from "./bar.ts";
import type { Travel } from "./travel.ts";

/** Pixels; style/past.css has the same. */
const TOLD_ROW = 30;

export function factsTree(travel: Travel, label: string): VNode {
  const { course, place } = travel;
  return section("What changed", listTree({
    key: "facts", class: "facts", role: "list", label,
    rows: course.count, rowHeight: TOLD_ROW, chosen: place - 1,
    row: (at) => factRow(travel, at + 1, at + 1 === place),
  }));
}

function factRow(travel: Travel, place: number, isChosen: boolean): VNode {
  const fact = travel.course.fact(place);
  return h("div", {
    key: place, role: "listitem", class: `fact-row${isChosen ? " is-chosen" : ""}`,
  }, h("button", {
    type: "button", class: "fact", "aria-current": isChosen ? "true" : undefined,
    title: fact?.text, onclick: () => {
      travel.pause();
      travel.go(place);
    },
  },
    h("span", { class: "fact-seq" }, `#${fact?.seq ?? travel.course.seqOf(place)}`),
    h("span", { class: "soft" }, fact === undefined ? "" : clockText(fact.at)),
    h("span", { class: "fact-text" }, fact === undefined ? "…" : wordsOf(fact))));
}

/** What the master did around one fact. */
export interface Step {
  /** Commands from which such a fact follows. */
  readonly decide: { readonly commands: readonly string[]; readonly text: string };
  readonly append: { readonly seq: number; readonly bytes: number; readonly type: string };
  readonly apply: readonly {
    readonly what: string; readonly before: string | null; readonly after: string | null;
  }[];
  /** Changes beyond those. */
  readonly more: number;
  readonly effects: readonly { readonly type: string; readonly text: string }[];
}

/** The heart of the master (lesson 10), for one fact. Undefined: the answer has not come yet. */
export function stepsTree(step: Step | undefined): VNode {
  return section("How it came about", h("ol", { class: "steps" },
    box("decide", "What was asked, and what the state allowed", step && [
      step.decide.commands.join(", "), step.decide.text]),
    box("append", "The fact goes to the disk, and is true from then on", step && [
      `#${step.append.seq} ${step.append.type}, ${plural(step.append.bytes, "byte")}`]),
    box("apply", "It changes the state, now and in each replay", step && [
      ...step.apply.slice(0, MAX_LINES).map(({ what, before, after }) => [
        h("strong", null, what), ` ${before ?? "was not there"} → ${after ?? "is gone"}`]),
      moreText(step.apply.length + step.more - MAX_LINES)]),
    box("effects", "What the world notices, once it is on the disk", step && [
      ...step.effects.slice(0, MAX_LINES).map(({ type, text }) =>
        [h("strong", null, type), " ", text]),
      moreText(step.effects.length - MAX_LINES)])));
}

/** A cancelled run of thousands of jobs changes all of them. */
const MAX_LINES = 12;

function moreText(count: number): string {
  return count > 0 ? `and ${count} more` : "";
}

function box(name: string, what: string, lines: readonly Child[] | undefined): VNode {
  const said = lines?.filter((line) => line !== "");
  return h("li", { key: name, class: "card step" },
    h("h3", null, name), h("p", { class: "soft" }, what),
    said === undefined ? h("p", { class: "loading" }, "…")
      : said.length === 0 ? h("p", null, "Nothing.")
        : h("ul", null, said.map((line, at) => h("li", { key: at }, line))));
}
