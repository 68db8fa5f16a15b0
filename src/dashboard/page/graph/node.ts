/**
 * Lesson 19: one node of a graph as a button, with as much in it as there is room for.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { lookOf } from "../parts/badge.ts";
import { icon } from "../parts/icon.ts";
import { h, type VNode } from "../vdom.ts";
import type { Detail } from "./camera.ts";
import { countStates, stateOf, type GraphNode } from "./model.ts";

/** What a graph shows of a job besides its place. */
export interface Shown {
  readonly id: string;
  readonly status: string;
  /** A few words: how long it took, which attempt it is. */
  readonly note: string;
}

/** "train, running": what a person who listens hears. */
export function nameOf(node: GraphNode, shown: (job: number) => Shown): string {
  const [first] = node.jobs;
  const { id, status } = shown(first!);
  if (node.jobs.length === 1) return `${id}, ${status.toLowerCase()}`;
  const counts = countStates(node, (job) => shown(job).status)
    .map(([state, count]) => `${count} ${state.toLowerCase()}`);
  return `${titleOf(node, shown)}, ${counts.join(", ")}`;
}

/** Of a stack the number comes first: a long name is cut at its end. */
export function titleOf(node: GraphNode, shown: (job: number) => Shown): string {
  const { id } = shown(node.jobs[0]!);
  return node.jobs.length === 1 ? id : `${node.jobs.length} jobs: ${id} …`;
}

export interface NodeLook {
  readonly node: GraphNode;
  readonly shown: (job: number) => Shown;
  readonly detail: Detail;
  readonly at: { readonly x: number; readonly y: number };
  readonly number: number;
  readonly isChosen: boolean;
  /** One node of a graph is in the order of the Tab key. */
  readonly isEntry: boolean;
}

export function nodeTree(look: NodeLook): VNode {
  const { node, shown, detail, at, number, isChosen, isEntry } = look;
  const state = stateOf(node, (job) => shown(job).status);
  const isStack = node.jobs.length > 1;
  return h("button", {
    key: node.key, type: "button", "data-node": number, tabindex: isEntry ? 0 : -1,
    class: `node node-${detail} ${isStack ? "node-stack " : ""}state-${lookOf(state)}`,
    "aria-label": nameOf(node, shown), "aria-current": isChosen ? "true" : undefined,
    "aria-expanded": isStack ? "false" : undefined, title: nameOf(node, shown),
    style: { transform: `translate(${at.x}px, ${at.y}px)` },
  }, detail === "box" ? null : content(look, state));
}

function content({ node, shown, detail }: NodeLook, state: string): VNode[] {
  const name = h("span", { class: "node-name" }, titleOf(node, shown));
  if (detail === "label") return [icon(lookOf(state)), name];
  const isStack = node.jobs.length > 1;
  const below = isStack ? bar(node, shown)
    : h("span", { class: "node-note" }, state.toLowerCase(), noteOf(shown(node.jobs[0]!)));
  return [icon(lookOf(state)), name, below];
}

function noteOf({ note }: Shown): string {
  return note === "" ? "" : ` · ${note}`;
}

/** The states of a stack as shares of a line. */
function bar(node: GraphNode, shown: (job: number) => Shown): VNode {
  const counts = countStates(node, (job) => shown(job).status);
  return h("span", { class: "node-bar" }, counts.map(([state, count]) => h("span", {
    key: state, class: `state-${lookOf(state)}`, style: { "flex-grow": count },
  })));
}
