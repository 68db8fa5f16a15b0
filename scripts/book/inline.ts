/**
 * One paragraph of Markdown as HTML: code, links, pictures, bold, italics.
 *
 * Code and links are taken out first and put back last, so that a star within them is a star.
 * Test: test/book.test.ts
 */

/** Where a link of the Markdown leads in the book, and a picture's file. */
export interface Links {
  href(target: string): string;
  picture(target: string): string;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;",
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

function unescaped(entity: string): string {
  return Object.keys(ENTITIES).find((character) => ENTITIES[character] === entity)!;
}

/** Stands for the number of a piece that was taken out; no text has it. */
const OPEN = "\u0001";
const CLOSE = "\u0002";

export function inline(text: string, links: Links): string {
  const pieces: string[] = [];
  const keep = (html: string): string => `${OPEN}${pieces.push(html) - 1}${CLOSE}`;
  const spans = text
    .replace(/(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/g, (_, __, code: string) =>
      keep(`<code>${escapeHtml(code.replace(/^ (.*) $/s, "$1"))}</code>`))
    .replace(/\\([\\`*_{}[\]()#+.!|<>-])/g, (_, character: string) => keep(escapeHtml(character)))
    .replace(/!\[([^\]]*)\]\(([^)\s]+)\)/g, (_, alt: string, target: string) => {
      const file = escapeHtml(links.picture(target));
      const image = `<img src="${file}" alt="${escapeHtml(alt)}">`;
      // By itself it is as large as it was drawn, and its text can be selected.
      return keep(target.endsWith(".svg") ? `<a href="${file}">${image}</a>` : image);
    })
    .replace(/<(https?:[^>\s]+)>/g, (_, url: string) =>
      keep(`<a href="${escapeHtml(url)}">${escapeHtml(url)}</a>`));
  const linked = escapeHtml(spans).replace(
    /\[([^\]]+)\]\(([^)\s]+)\)/g,
    (_, words: string, target: string) => {
      const href = links.href(target.replace(/&(?:amp|lt|gt|quot|#39);/g, unescaped));
      return keep(`<a href="${escapeHtml(href)}">`) + words + keep("</a>");
    },
  );
  const marked = linked
    .replace(/\*\*(\S|\S[\s\S]*?\S)\*\*/g, "<strong>$1</strong>")
    .replace(/(^|[\s(>"\u0002])\*(\S|\S[^*]*?\S)\*(?!\*)/g, "$1<em>$2</em>")
    .replace(/(^|[\s(>])_(\S|\S[^_]*?\S)_(?=[\s).,:;?!<]|$)/g, "$1<em>$2</em>");
  return restored(marked, pieces);
}

/** A piece may hold others: a link's words with code in them. */
function restored(text: string, pieces: readonly string[]): string {
  const one = new RegExp(`${OPEN}(\\d+)${CLOSE}`, "g");
  const put = (html: string): string =>
    html.replace(one, (_, number: string) => put(pieces[Number(number)]!));
  return put(text);
}

/** The words alone, for titles and for the search. */
export function plain(text: string): string {
  return text
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/(\*\*|`)/g, "")
    .replace(/(^|[\s(])[*_](\S[^*_]*)[*_]/g, "$1$2");
}
