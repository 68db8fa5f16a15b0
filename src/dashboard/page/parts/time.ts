/**
 * Lesson 19: times as people say them, with the exact one behind them.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { durationText } from "#base";
import { h, type VNode } from "../vdom.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** "just now", "40 s ago", "5 min ago", "in 3 h", "12 days ago". */
export function relative(at: number, now: number): string {
  const ms = Math.abs(now - at);
  if (ms < 5_000) return "just now";
  const [count, unit] = ms < MINUTE ? [ms / 1000, "s"] as const
    : ms < HOUR ? [ms / MINUTE, "min"] as const
    : ms < 2 * DAY ? [ms / HOUR, "h"] as const
    : [ms / DAY, "days"] as const;
  const text = `${Math.floor(count)} ${unit}`;
  return at <= now ? `${text} ago` : `in ${text}`;
}

/** Made once: it takes longer than a row. Hours are those of the log, from 0 to 23. */
const EXACT = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium", timeStyle: "medium", hourCycle: "h23",
});
const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

/** Local, to the second: what stands behind a relative time. */
export function exact(at: number): string {
  return EXACT.format(at);
}

/** Of a day that is known. */
export function timeOfDay(at: number): string {
  return TIME.format(at);
}

export function ago(at: number, now: number): VNode {
  const title = exact(at);
  return h("time", { datetime: new Date(at).toISOString(), title }, relative(at, now));
}

/** How long something took, or has taken until now. */
export function took(from: number, to: number | null, now: number): string {
  return durationText((to ?? now) - from);
}
