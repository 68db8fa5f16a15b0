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

/**
 * The latest at the right; `places` keeps the width the same in every row. Each row of a long list
 * has one: the bars of one look are one path, and the title is that of the bar under the pointer.
 */
export function barChart(bars: readonly Bar[], places: number, label: string): VNode {
  const width = places * BAR;
  const paths = new Map<string, string>();
  for (const [at, { share, look }] of bars.entries()) {
    const height = Math.max(3, share * BARS_HEIGHT).toFixed(1);
    const x = width - (bars.length - at) * BAR + 0.5;
    const path = `M${x} ${BARS_HEIGHT}v-${height}h${BAR - 2}v${height}z`;
    paths.set(look, (paths.get(look) ?? "") + path);
  }
  const point = ({ currentTarget, offsetX }: PointerEvent): void => {
    const at = Math.floor(offsetX / BAR) - places + bars.length;
    (currentTarget as Element).querySelector("title")!.textContent = bars[at]?.title ?? label;
  };
  return h("svg", {
    class: "bars", viewBox: `0 0 ${width} ${BARS_HEIGHT}`, width, height: BARS_HEIGHT, role: "img",
    "aria-label": label, onpointermove: point,
  }, h("title", { opaque: true }), [...paths].map(([look, d]) =>
    h("path", { key: look, class: `fill-${look}`, d })));
}
