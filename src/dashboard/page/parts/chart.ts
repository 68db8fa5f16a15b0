/**
 * Lesson 19: small charts: a line of values over time, and the history of a pipeline as bars.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { h, type VNode } from "../vdom.ts";

const WIDTH = 240;
const HEIGHT = 44;

export interface LineOptions {
  /** What a person hears: "Jobs finished per minute: 120 now, 300 at most". */
  readonly label: string;
  /** As many as the whole width has; fewer stand at the right. */
  readonly places: number;
}

/** The outline of values that stand one behind the other, the last one at the right. Pure. */
export function outline(values: readonly number[], places: number): string {
  const top = Math.max(1e-9, ...values);
  const step = WIDTH / Math.max(1, places - 1);
  const points = values.map((value, at) => {
    const x = WIDTH - (values.length - 1 - at) * step;
    const y = HEIGHT - 2 - (value / top) * (HEIGHT - 6);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return points.length === 0 ? "" : `M${points.join("L")}`;
}

export function lineChart(values: readonly number[], { label, places }: LineOptions): VNode {
  const line = outline(values, places);
  const left = WIDTH - (values.length - 1) * (WIDTH / Math.max(1, places - 1));
  const area = line === "" ? "" : `${line}L${WIDTH} ${HEIGHT}L${left.toFixed(1)} ${HEIGHT}Z`;
  return h("svg", {
    class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": label,
  }, h("path", { class: "chart-ground", d: `M0 ${HEIGHT - 1}H${WIDTH}` }),
  h("path", { class: "chart-area", d: area }), h("path", { class: "chart-line", d: line }));
}

export interface Bar {
  /** Of the longest one, from 0 to 1. */
  readonly share: number;
  readonly look: string;
  readonly title: string;
}

const BAR = 6;
const BARS_HEIGHT = 22;

/** The latest at the right; `places` keeps the width the same in every row. */
export function barChart(bars: readonly Bar[], places: number, label: string): VNode {
  const width = places * BAR;
  return h("svg", {
    class: "bars", viewBox: `0 0 ${width} ${BARS_HEIGHT}`, width, height: BARS_HEIGHT, role: "img",
    "aria-label": label,
  }, bars.map(({ share, look, title }, at) => {
    const height = Math.max(3, share * BARS_HEIGHT);
    const x = width - (bars.length - at) * BAR;
    return h("rect", {
      class: `fill-${look}`, x: x + 0.5, y: BARS_HEIGHT - height, width: BAR - 2, height, rx: 1,
    }, h("title", null, title));
  }));
}
