/**
 * Lesson 19: a picture as SVG: one file that every browser shows, without a script.
 *
 * Test: test/layout.test.ts
 */
import type { Layout, PlacedEdge } from "./types.ts";

export interface Label {
  readonly text: string;
  /** A word in small letters, such as `running`: it chooses the colours. */
  readonly state?: string;
  /** What a pointer is told that rests there. */
  readonly title?: string;
}

const MARGIN = 16;
/** Of the width of a job, with room on both sides, at 13 pixels a letter. */
const MAX_CHARS = 22;

/** Colours that differ in lightness too, for eyes that do not see red and green apart. */
const STYLE = `
  svg { font: 13px system-ui, sans-serif; color-scheme: light dark; }
  path { fill: none; stroke: #8a94a3; stroke-width: 1.5; }
  rect { fill: #f4f6f8; stroke: #8a94a3; stroke-width: 1.5; }
  text { fill: #1c2430; dominant-baseline: central; }
  .running rect { fill: #cfe5ff; stroke: #1f6feb; }
  .waiting rect { fill: #fff3c4; stroke: #b07d00; }
  .completed rect { fill: #d6f0de; stroke: #2b8a4b; }
  .failed rect, .dead rect { fill: #ffd9d4; stroke: #c2331f; stroke-width: 3; }
  .skipped rect, .cancelled rect { stroke-dasharray: 5 4; }
  @media (prefers-color-scheme: dark) {
    rect { fill: #222a35; } text { fill: #e6ebf2; }
    .running rect { fill: #123a6b; } .waiting rect { fill: #4d3a00; }
    .completed rect { fill: #14452a; } .failed rect, .dead rect { fill: #5c1a10; }
  }`;

/** `labels[i]` is that of job i. Any text is safe: a name is never taken for markup. */
export function drawSvg(
  { nodes, edges, width, height }: Layout, labels: readonly Label[],
  { nodeWidth = 180, nodeHeight = 40, title = "" } = {},
): string {
  const lines = edges.map((edge) => `<path d="${wayOf(edge)}"/>`);
  const boxes = nodes.map(({ x, y }, index) => {
    const { text, state = "", title = text } = labels[index]!;
    const letters = [...text];
    const isLong = letters.length > MAX_CHARS;
    const shown = isLong ? `${letters.slice(0, MAX_CHARS - 1).join("")}…` : text;
    const at = `x="${round(x + 12)}" y="${round(y + nodeHeight / 2)}"`;
    const size = `width="${nodeWidth}" height="${nodeHeight}" rx="6"`;
    const box = `x="${round(x)}" y="${round(y)}" ${size}`;
    return `<g class="${escaped(state)}"><title>${escaped(title)}</title>` +
      `<rect ${box}/><text ${at}>${escaped(shown)}</text></g>`;
  });
  const view = [-MARGIN, -MARGIN, width + 2 * MARGIN, height + 2 * MARGIN].map(round).join(" ");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${view}" role="img">`,
    `<title>${escaped(title)}</title>`, `<style>${STYLE}</style>`, ...lines, ...boxes, "</svg>", "",
  ].join("\n");
}

/** The `d` of a path. Level where it leaves a column and where it comes into the next one. */
export function wayOf({ points }: PlacedEdge): string {
  const [[x, y] = [0, 0], ...rest] = points;
  let way = `M${round(x)} ${round(y)}`;
  let [fromX, fromY] = [x, y];
  for (const [toX, toY] of rest) {
    const half = round((fromX + toX) / 2);
    way += fromY === toY ? `H${round(toX)}`
      : `C${half} ${round(fromY)} ${half} ${round(toY)} ${round(toX)} ${round(toY)}`;
    [fromX, fromY] = [toX, toY];
  }
  return way;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;",
};

const NO_XML = new RegExp("[\\u0000-\\u001f\\u007f\\ufffe\\uffff]|" +
  "[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]", "g");

/** Also without what XML does not know at all: control characters, and halves of characters. */
function escaped(text: string): string {
  return text.replace(NO_XML, "\ufffd").replace(/[&<>"]/g, (found) => ENTITIES[found]!);
}
