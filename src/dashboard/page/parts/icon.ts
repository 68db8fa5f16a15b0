/**
 * Lesson 19: pictures of sixteen units, drawn with one line that has the colour of the text. They
 * say nothing to a person who listens: a word stands beside each of them.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { h, type VNode } from "../vdom.ts";

const PATHS: Readonly<Record<string, string>> = {
  overview: "M2 9h5V2H2zM9 6h5V2H9zM9 14h5V9H9zM2 14h5v-2H2z",
  runs: "M3 4h1M3 8h1M3 12h1M6.5 4H14M6.5 8H14M6.5 12H14",
  workers: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01M8 5h3M8 11h3",
  services: "M8 2v12M2 8h12M3.5 4.5C6 6.8 10 6.8 12.5 4.5M3.5 11.5C6 9.2 10 9.2 12.5 11.5M8 2" +
    "a6 6 0 1 0 0 12A6 6 0 1 0 8 2",
  approvals: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M5.5 8.2 7.3 10l3.4-4",
  agents: "M3 6h10v7H3zM8 6V3.2M6 9.3h.01M10 9.3h.01M6.3 11.3h3.4" +
    "M8 3a.6.6 0 1 0 0-1.2A.6.6 0 0 0 8 3",
  store: "M2.5 4c0-1.3 2.5-2 5.5-2s5.5.7 5.5 2-2.5 2-5.5 2-5.5-.7-5.5-2v8c0 1.3 2.5 2 5.5 2" +
    "s5.5-.7 5.5-2V4M2.5 8c0 1.3 2.5 2 5.5 2s5.5-.7 5.5-2",
  constructor: "M2 3h4v4H2zM10 9h4v4h-4zM6 5h3.5c1.5 0 2.5 1 2.5 2.5V9",
  history: "M2.5 8a5.5 5.5 0 1 0 1.8-4.1L2.5 5.5M2.5 2.5v3h3M8 5v3.2l2 1.6",
  first: "M4 3.5v9M12 3.5 6.5 8l5.5 4.5z",
  back: "M11 3.5 5.5 8l5.5 4.5z",
  next: "M5 3.5 10.5 8 5 12.5z",
  last: "M12 3.5v9M4 3.5 9.5 8 4 12.5z",
  empty: "M2 9.5 4 3h8l2 6.5V13H2zM2 9.5h3.5l1 1.8h3l1-1.8H14",
  problem: "M8 2.2 14.5 13.5h-13zM8 6.5v3.2M8 11.7h.01",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10M10.6 10.6 14 14",
  system: "M2 3h12v8H2zM6 14h4M8 11v3",
  light: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M8 1.5V3M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1" +
    "M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1",
  dark: "M13.5 9.5A6 6 0 0 1 6.5 2.5a5.8 5.8 0 1 0 7 7",
  close: "M4 4l8 8M12 4l-8 8",
  plus: "M8 3v10M3 8h10",
  completed: "M3 8.5 6.5 12 13 4.5",
  running: "M5 3.5v9l7.5-4.5z",
  pending: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M8 4.8V8l2.2 1.8",
  waiting: "M5.5 3.5v9M10.5 3.5v9",
  failed: "M4 4l8 8M12 4l-8 8",
  dead: "M5.2 2h5.6L14 5.2v5.6L10.8 14H5.2L2 10.8V5.2zM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4",
  cancelled: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M3.8 3.8l8.4 8.4",
  skipped: "M3 4l4.5 4L3 12zM8.5 4 13 8l-4.5 4z",
};

export function icon(name: string): VNode {
  return h("svg", {
    class: `icon icon-${name}`, viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false",
  }, h("path", { d: PATHS[name] ?? PATHS["empty"]! }));
}
