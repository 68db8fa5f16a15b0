/**
 * A page of the book around its text: head, the way through the book, and what is in the page.
 *
 * Nothing comes from elsewhere, and all links are relative, so a page works from `file://`.
 * Test: test/book.test.ts
 */
import type { Heading } from "./blocks.ts";
import { escapeHtml } from "./inline.ts";

export interface Neighbour {
  readonly file: string;
  readonly title: string;
}

export interface PageText {
  readonly title: string;
  readonly file: string;
  /** Between the heading of the page and its text: reading time, what to have read. */
  readonly lead?: string;
  readonly html: string;
  readonly headings: readonly Heading[];
  readonly before?: Neighbour | undefined;
  readonly after?: Neighbour | undefined;
}

export function pageOf(page: PageText): string {
  const { title, html, headings, before, after, lead = "" } = page;
  const up = "../".repeat(page.file.split("/").length - 1);
  const chapters = headings.filter(({ level }) => level === 2);
  const inside = chapters.length < 3 ? "" : `<nav class="inside" aria-label="On this page"><ul>${
    chapters.map(({ id, text }) =>
      `<li><a href="#${escapeHtml(id)}">${escapeHtml(text)}</a></li>`).join("")}</ul></nav>`;
  const way = (side: "prev" | "next", to: Neighbour | undefined): string => to === undefined
    ? "<span></span>" : `<a rel="${side}" href="${up}${to.file}">${
      side === "prev" ? "← " : ""}${escapeHtml(to.title)}${side === "next" ? " →" : ""}</a>`;
  const turn = before === undefined && after === undefined ? ""
    : `<nav class="turn" aria-label="Pages">${way("prev", before)}${way("next", after)}</nav>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)} · Titan</title>
<link rel="stylesheet" href="${up}book.css">
<script defer src="${up}search-index.js"></script>
<script defer src="${up}book.js" data-up="${up}"></script>
</head>
<body>
<header><a class="home" href="${up}index.html">Titan</a>
<nav aria-label="Book"><a href="${up}words.html">Words</a> <a href="${up}ahas.html">Ahas</a>
<a href="${up}everything.html">Everything</a></nav>
<label class="search"><span>Search</span>
<input type="search" placeholder="Search (/)" autocomplete="off"></label>
<ol class="found" hidden></ol></header>
<main>
${lead}${inside}${html}
${turn}
</main>
</body>
</html>
`;
}
