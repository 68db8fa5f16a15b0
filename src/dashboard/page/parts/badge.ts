/**
 * Lesson 19: a state as an icon, a word and a colour. Each of the three would do.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { h, type VNode } from "../vdom.ts";
import { icon } from "./icon.ts";

/** States of jobs and runs, in the order in which counts are shown. */
export const STATES = [
  "RUNNING", "WAITING", "PENDING", "COMPLETED", "FAILED", "DEAD", "CANCELLED", "SKIPPED",
] as const;

/** How far the words of others are words of ours: "ready" looks as COMPLETED does. */
const LOOK_OF: Readonly<Record<string, string>> = {
  serving: "running", ready: "completed", busy: "running", away: "dead", draining: "waiting",
  drained: "cancelled", healthy: "completed", starting: "pending", unhealthy: "failed",
  restarting: "waiting", stopped: "cancelled", stopping: "waiting", paused: "waiting",
};

/** The class that colours what is in this state. */
export function lookOf(state: string): string {
  const word = state.toLowerCase();
  return LOOK_OF[word] ?? word;
}

export function badge(state: string, text = state.toLowerCase()): VNode {
  const look = lookOf(state);
  return h("span", { class: `badge state-${look}` }, icon(look), text);
}
