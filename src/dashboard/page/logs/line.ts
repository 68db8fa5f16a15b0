/**
 * Lesson 19: one line of output as a tree: its number, when it came, and its text with styles and
 * matches.
 *
 * Test: test/19-dashboard.run.browser.test.ts
 */
import { h, type Child, type VNode } from "../vdom.ts";
import { piecesOf, type Piece, type Style } from "./ansi.ts";
import type { Line } from "./lines.ts";
import { rangesIn } from "./search.ts";

export interface LineLook {
  readonly line: Line;
  /** From 0. */
  readonly number: number;
  readonly regex: RegExp | undefined;
  readonly isMarked: boolean;
  readonly hasTimes: boolean;
  /** The job that printed it, in a log of several. */
  readonly job: string | undefined;
  readonly href: string;
}

export function lineTree(look: LineLook): VNode {
  const { line, number, isMarked, hasTimes, job, href } = look;
  return h("div", {
    key: number,
    class: `line${line.isError ? " line-error" : ""}${isMarked ? " line-marked" : ""}`,
  },
    h("a", { class: "line-number", href, "aria-label": `line ${number + 1}`, tabindex: -1 },
      number + 1),
    hasTimes ? h("span", { class: "line-time" }, clock(line.at)) : null,
    job === undefined ? null : h("span", { class: "line-job", title: job }, job),
    h("span", { class: "line-text" }, textOf(look), rest(line)));
}

function textOf({ line, regex }: LineLook): Child[] {
  const { pieces } = piecesOf(line.text, line.before);
  if (regex === undefined) return pieces.map(({ text, style }) => styled(text, style));
  return marked(pieces, rangesIn(pieces.map(({ text }) => text).join(""), regex));
}

/** Pieces cut at the ends of matches: a match may be half red and half green. */
function marked(pieces: readonly Piece[], ranges: readonly (readonly number[])[]): Child[] {
  const found: Child[] = [];
  let at = 0;
  let next = 0;
  for (const { text, style } of pieces) {
    for (let from = 0; from < text.length;) {
      while (next < ranges.length && ranges[next]![1]! <= at) next += 1;
      const [start = Infinity, end = Infinity] = ranges[next] ?? [];
      const isInside = at >= start;
      const length = Math.min(text.length - from, (isInside ? end : start) - at);
      const part = styled(text.slice(from, from + length), style);
      found.push(isInside ? h("mark", null, part) : part);
      from += length;
      at += length;
    }
  }
  return found;
}

function styled(text: string, style: Style): Child {
  const names = Object.keys(style);
  if (names.length === 0) return text;
  const { inverse = false } = style;
  const [front, back] = inverse ? [style.background, style.color] : [style.color, style.background];
  const classes = names.filter((name) => style[name as keyof Style] === true)
    .map((name) => `ansi-${name}`);
  if (typeof front === "number") classes.push(`ansi-color-${front}`);
  if (typeof back === "number") classes.push(`ansi-back-${back}`);
  return h("span", {
    class: classes.join(" "),
    style: {
      color: typeof front === "string" ? front : undefined,
      background: typeof back === "string" ? back : undefined,
    },
  }, text);
}

function rest({ more }: Line): Child {
  if (more === 0) return null;
  return h("span", { class: "line-more" },
    ` … and ${more.toLocaleString()} bytes more, which the download has`);
}

/** Local time, to the millisecond. */
function clock(at: number): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, "0");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${time}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
