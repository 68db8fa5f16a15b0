/**
 * A recording as an animated SVG: every row that was ever on the screen, shown from when it came
 * until it changed.
 *
 *     frames (time, rows) ─▶ pieces (row, text, from, to)
 *                         ─▶ a group per (from, to), with CSS keyframes of its own
 *
 * Bars become rectangles, since fonts disagree about block characters; text is stretched to its
 * cells for the same reason. Where nothing moves (prefers-reduced-motion, a renderer without CSS
 * animations) the last frame is shown.
 *
 * Invariants: a function of its frames; no script, no reference to anything outside the file.
 * Test: test/demo.svg.test.ts
 */
import type { Run } from "./terminal.ts";

export interface Frame {
  readonly atMs: number;
  readonly rows: readonly (readonly Run[])[];
}

export interface SvgOptions {
  readonly title: string;
  readonly description: string;
  readonly columns: number;
  /** Rows in the window; older rows have scrolled out. */
  readonly height: number;
  /** How long the last frame stays before all begins again. */
  readonly holdMs: number;
}

const CELL = { width: 7.8, height: 18 } as const;
const FONT_PX = 13;
const PADDING = 18;
const TITLE_BAR = 34;
/** Where a glyph stands in its row. */
const BASELINE = 13;
/** Signs that are drawn: how far below the row's top, and how high. */
const BARS: Readonly<Record<string, { readonly y: number; readonly height: number }>> = {
  "█": { y: 3, height: 12 }, "▒": { y: 3, height: 12 }, "▬": { y: 8, height: 3 },
};

interface Piece {
  readonly row: number;
  readonly runs: readonly Run[];
  readonly from: number;
  readonly to: number;
}

/** A text in a row, from its first frame to its last. */
function piecesOf(frames: readonly Frame[]): Piece[] {
  const pieces: Piece[] = [];
  const open = new Map<number, { key: string; runs: readonly Run[]; from: number }>();
  const close = (row: number, to: number): void => {
    const { runs, from } = open.get(row)!;
    if (runs.length > 0) pieces.push({ row, runs, from, to });
    open.delete(row);
  };
  frames.forEach(({ rows }, frame) => {
    for (const row of [...open.keys()]) if (row >= rows.length) close(row, frame);
    rows.forEach((runs, row) => {
      const key = JSON.stringify(runs);
      if (open.get(row)?.key === key) return;
      if (open.has(row)) close(row, frame);
      open.set(row, { key, runs, from: frame });
    });
  });
  for (const row of [...open.keys()]) close(row, frames.length);
  return pieces;
}

export function renderSvg(frames: readonly Frame[], options: SvgOptions): string {
  const totalMs = frames.at(-1)!.atMs + options.holdMs;
  const percent = (frame: number): string => {
    const atMs = frames[frame]?.atMs ?? totalMs;
    return String(Number(((atMs / totalMs) * 100).toFixed(2)));
  };
  const groups = new Map<string, Piece[]>();
  for (const piece of piecesOf(frames)) {
    const name = `${piece.from}-${piece.to}`;
    groups.set(name, [...(groups.get(name) ?? []), piece]);
  }
  const keyframes: string[] = [];
  const drawn: string[] = [];
  for (const [name, pieces] of groups) {
    const { from, to } = pieces[0]!;
    const last = to >= frames.length;
    const body = pieces.map(drawPiece).join("");
    if (from === 0 && last) {
      drawn.push(body);
      continue;
    }
    const shown = `${percent(from)}%{visibility:visible}`;
    const hidden = last ? "" : `${percent(to)}%{visibility:hidden}`;
    keyframes.push(`@keyframes s${name}{0%{visibility:hidden}${shown}${hidden}}`);
    const resting = last ? "" : " h";
    drawn.push(`<g class="a${resting}" style="animation-name:s${name}">${body}</g>`);
  }
  const scroll = scrolling(frames, options, percent);
  return assemble({ keyframes, drawn, scroll, totalMs, options });
}

/** The rows move up when there are more than the window holds. */
function scrolling(
  frames: readonly Frame[],
  { height }: SvgOptions,
  percent: (frame: number) => string,
): { keyframes: string; rest: number } {
  let steps = "0%{transform:none}";
  let shift = 0;
  frames.forEach(({ rows }, frame) => {
    // A drawing ends with the cursor in an empty row.
    const used = rows.at(-1)?.length === 0 ? rows.length - 1 : rows.length;
    const wanted = Math.max(shift, (used - height) * CELL.height);
    if (wanted === shift) return;
    shift = wanted;
    steps += `${percent(frame)}%{transform:translateY(-${shift}px)}`;
  });
  return { keyframes: `@keyframes scroll{${steps}}`, rest: shift };
}

function drawPiece({ row, runs }: Piece): string {
  return runs.map((run) => drawRun(run, row * CELL.height)).join("");
}

function drawRun({ column, text, style }: Run, top: number): string {
  const x = round(column * CELL.width);
  const bar = BARS[text[0]!];
  const name = style === "" ? "" : ` class="${style[0]}"`;
  const width = round(text.length * CELL.width);
  if (bar !== undefined) {
    const [y, { height }] = [top + bar.y, bar];
    return `<rect${name} x="${x}" y="${y}" width="${width}" height="${height}" rx="1.5"/>`;
  }
  const stretch = text.length > 2 ? ` textLength="${width}"` : "";
  return `<text${name} x="${x}" y="${top + BASELINE}"${stretch}>${escape(text)}</text>`;
}

const round = (value: number): number => Number(value.toFixed(1));
const escape = (text: string): string =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

interface Parts {
  readonly keyframes: readonly string[];
  readonly drawn: readonly string[];
  readonly scroll: { readonly keyframes: string; readonly rest: number };
  readonly totalMs: number;
  readonly options: SvgOptions;
}

function assemble({ keyframes, drawn, scroll, totalMs, options }: Parts): string {
  const [innerWidth, innerHeight] = [
    Math.ceil(options.columns * CELL.width), options.height * CELL.height,
  ];
  const [width, height] = [innerWidth + 2 * PADDING, innerHeight + TITLE_BAR + PADDING];
  const seconds = round(totalMs / 1000);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"
 width="${width}" height="${height}" role="img" aria-labelledby="title description">
<title id="title">${escape(options.title)}</title>
<desc id="description">${escape(options.description)}</desc>
<style>
.window{fill:#0d1117;stroke:#30363d}.bar{fill:#8b949e;font-size:12px}.dots{fill:#30363d}
text{font:${FONT_PX}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
text{fill:#c9d1d9;white-space:pre}rect{fill:#6e7681}.b{font-weight:700;fill:#f0f6fc}.d{fill:#8b949e}
.r{fill:#ff7b72}.g{fill:#3fb950}.y{fill:#d29922}.c{fill:#39c5cf}.m{fill:#bc8cff}
@media (prefers-color-scheme:light){.window{fill:#fff;stroke:#d0d7de}.bar{fill:#57606a}
.dots{fill:#d0d7de}text{fill:#24292f}rect{fill:#8c959f}.b{fill:#1f2328}.d{fill:#6e7781}
.r{fill:#cf222e}.g{fill:#1a7f37}.y{fill:#9a6700}.c{fill:#1b7c83}.m{fill:#8250df}}
.h{visibility:hidden}.scroll{transform:translateY(-${scroll.rest}px)}
@media (prefers-reduced-motion:no-preference){
.a,.scroll{animation:${seconds}s step-end infinite}.scroll{animation-name:scroll}
${[scroll.keyframes, ...keyframes].join("\n")}}
</style>
<rect class="window" x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8"/>
<g class="dots">${[20, 37, 54].map((x) => `<circle cx="${x}" cy="18" r="5"/>`).join("")}</g>
<text class="bar" x="${width / 2}" y="22" text-anchor="middle">npm run demo</text>
<svg x="${PADDING}" y="${TITLE_BAR}" width="${innerWidth}" height="${innerHeight}"
  overflow="hidden">
<g class="scroll">
${drawn.join("\n")}
</g></svg>
</svg>
`;
}
