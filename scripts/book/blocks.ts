/**
 * Markdown as HTML, as much of it as the lessons and the manuals use: headings, paragraphs, lists
 * within lists, tables, fences, quotes, rules, `<details>`.
 *
 *     text ─▶ lines ─▶ one block after another ─▶ HTML
 *
 * Left out: headings that are underlined, indented code, HTML of any other kind (it is shown as
 * text). Test: test/book.test.ts
 */
import { FENCE, fenceAt, HEADING, slug } from "../learn/markdown.ts";
import { escapeHtml, inline, type Links, plain } from "./inline.ts";

export interface Rendering extends Links {
  /** A fence's HTML. `info`: what stands behind its backticks. */
  fence(info: string, lines: readonly string[]): string;
}

/** A heading with its anchor. */
export interface Heading {
  readonly level: number;
  readonly id: string;
  readonly text: string;
}

export interface Rendered {
  readonly html: string;
  readonly headings: readonly Heading[];
}

const ITEM = /^(\s*)([-*+]|\d+[.)])\s+(.*)$/;
const TABLE_RULE = /^\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const DETAILS = /^<(\/?details|summary>.*<\/summary)>$/;

export function render(markdown: string, rendering: Rendering): Rendered {
  const lines = markdown.replace(/<!--[\s\S]*?-->/g, "").split("\n");
  const reader = new Reader(rendering);
  return { html: reader.blocks(lines), headings: reader.headings };
}

class Reader {
  readonly headings: Heading[] = [];
  readonly #rendering: Rendering;

  constructor(rendering: Rendering) {
    this.#rendering = rendering;
  }

  blocks(lines: readonly string[]): string {
    const html: string[] = [];
    for (let at = 0; at < lines.length;) {
      const line = lines[at]!;
      if (line.trim() === "") at += 1;
      else if (FENCE.test(line)) at = this.#fence(lines, at, html);
      else if (HEADING.test(line)) {
        html.push(this.#heading(line));
        at += 1;
      } else if (DETAILS.test(line.trim())) {
        html.push(this.#details(line.trim()));
        at += 1;
      } else if (/^ {0,3}([-*_])(\s*\1){2,}\s*$/.test(line)) {
        html.push("<hr>");
        at += 1;
      } else if (line.startsWith(">")) at = this.#quote(lines, at, html);
      else if (ITEM.test(line)) at = this.#list(lines, at, html);
      else if (line.includes("|") && TABLE_RULE.test(lines[at + 1] ?? "")) {
        at = this.#table(lines, at, html);
      } else at = this.#paragraph(lines, at, html);
    }
    return html.join("\n");
  }

  #inline(text: string): string {
    return inline(text, this.#rendering);
  }

  #heading(line: string): string {
    const [, marks = "", text = ""] = HEADING.exec(line)!;
    const base = slug(plain(text));
    const same = this.headings.filter(({ id }) => id === base || id.startsWith(`${base}-`)).length;
    const id = same === 0 ? base : `${base}-${same}`;
    const level = marks.length;
    this.headings.push({ level, id, text: plain(text) });
    return `<h${level} id="${escapeHtml(id)}">${this.#inline(text)}` +
      `<a class="anchor" href="#${escapeHtml(id)}" aria-hidden="true">#</a></h${level}>`;
  }

  #details(line: string): string {
    const summary = /^<summary>(.*)<\/summary>$/.exec(line);
    return summary === null ? line : `<summary>${this.#inline(summary[1]!)}</summary>`;
  }

  #fence(lines: readonly string[], at: number, html: string[]): number {
    const { info, body, end } = fenceAt(lines, at)!;
    html.push(this.#rendering.fence(info, body));
    return end + 1;
  }

  #quote(lines: readonly string[], at: number, html: string[]): number {
    let end = at;
    while (end < lines.length && lines[end]!.startsWith(">")) end += 1;
    const inside = lines.slice(at, end).map((line) => line.replace(/^>\s?/, ""));
    html.push(`<blockquote>${this.blocks(inside)}</blockquote>`);
    return end;
  }

  /** An item goes on with what is indented as far as its text, and with lines that are lazy. */
  #list(lines: readonly string[], at: number, html: string[]): number {
    const [, indent = "", mark = ""] = ITEM.exec(lines[at]!)!;
    const isOrdered = /\d/.test(mark);
    const items: string[] = [];
    let next = at;
    for (;;) {
      const found = ITEM.exec(lines[next] ?? "");
      if (found === null || found[1]!.length !== indent.length) break;
      if (/\d/.test(found[2]!) !== isOrdered) break;
      const width = found[0].length - found[3]!.length;
      const end = itemEnd(lines, next + 1, width);
      const rest = lines.slice(next + 1, end).map((line) => unindent(line, width));
      const inside = [found[3]!, ...rest];
      items.push(`<li>${this.#item(inside)}</li>`);
      next = end;
      while (lines[next]?.trim() === "" && ITEM.test(lines[next + 1] ?? "")) next += 1;
    }
    const tag = isOrdered ? "ol" : "ul";
    const first = Number.parseInt(mark, 10);
    const start = isOrdered && first !== 1 ? ` start="${first}"` : "";
    html.push(`<${tag}${start}>${items.join("")}</${tag}>`);
    return next;
  }

  /** An item of one paragraph has no <p>: it would stand apart from its neighbours. */
  #item(lines: readonly string[]): string {
    const html = this.blocks(lines);
    return /^<p>(?:(?!<\/p>)[\s\S])*<\/p>(?!\n<p>)/.test(html)
      ? html.replace(/^<p>([\s\S]*?)<\/p>/, "$1") : html;
  }

  #table(lines: readonly string[], at: number, html: string[]): number {
    const cells = (line: string): string[] => splitRow(line).map((cell) => this.#inline(cell));
    const head = cells(lines[at]!);
    const rows: string[][] = [];
    let end = at + 2;
    for (; (lines[end] ?? "").includes("|"); end++) rows.push(cells(lines[end]!));
    const row = (tag: string, all: readonly string[]): string =>
      `<tr>${all.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;
    html.push(`<div class="wide"><table><thead>${row("th", head)}</thead><tbody>` +
      `${rows.map((all) => row("td", all)).join("\n")}</tbody></table></div>`);
    return end;
  }

  #paragraph(lines: readonly string[], at: number, html: string[]): number {
    let end = at + 1;
    while (end < lines.length && !beginsBlock(lines[end]!)) end += 1;
    html.push(`<p>${this.#inline(lines.slice(at, end).map((line) => line.trim()).join("\n"))}</p>`);
    return end;
  }
}

function beginsBlock(line: string): boolean {
  return line.trim() === "" || FENCE.test(line) || HEADING.test(line) || line.startsWith(">") ||
    ITEM.test(line) || DETAILS.test(line.trim());
}

function itemEnd(lines: readonly string[], from: number, width: number): number {
  let end = from;
  for (; end < lines.length; end++) {
    const line = lines[end]!;
    if (line.trim() === "") {
      const next = lines.slice(end).find((each) => each.trim() !== "") ?? "";
      if (next.search(/\S/) < width) break;
    } else if (line.search(/\S/) < width && beginsBlock(line)) break;
    else if (line.search(/\S/) < width && lines[end - 1]!.trim() === "") break;
  }
  return end;
}

function unindent(line: string, width: number): string {
  return line.slice(Math.min(width, Math.max(0, line.search(/\S|$/))));
}

/** A bar within code, or behind a backslash, is no border. */
function splitRow(line: string): string[] {
  const text = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  const cells = text.match(/(?:`[^`]*`|\\\||[^|])*(?:\||$)/g) ?? [];
  return cells.slice(0, cells.at(-1) === "" ? -1 : undefined)
    .map((cell) => cell.replace(/(?<!\\)\|$/, "").replaceAll("\\|", "|").trim());
}
