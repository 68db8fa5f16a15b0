/**
 * The pages of the book that are no file of the project: cover, words, ahas, everything at once,
 * and the files that lessons quote. Test: test/book.test.ts
 */
import { AHAS } from "./ahas.ts";
import { escapeHtml, inline, type Links, plain } from "./inline.ts";
import { type Chapter, hookOf, questionOf, type Term } from "./terms.ts";

/** A sentence of a chapter has the chapter's links. */
type LinksOf = (chapter: Chapter) => Links;

export function coverHtml(
  lessons: readonly Chapter[], { manuals, map }: { manuals: readonly Chapter[]; map: string },
): string {
  const chapters = lessons.map((chapter) =>
    `<tr><td><a href="${chapter.file}">${chapter.id}</a></td>` +
    `<td>${escapeHtml(hookOf(chapter))}</td></tr>`);
  const looked = manuals.map(({ file, title }) =>
    `<li><a href="${file}">${escapeHtml(plain(title))}</a></li>`);
  return `<h1>Titan</h1>
<p>A distributed orchestrator that you can read and run. Each chapter has a lesson, the code and the
tests; this book is the lessons and the manuals. <a href="start.html">Start here</a>, or with
<a href="00-tour.html">the tour</a>.</p>
<h2 id="the-lessons">The chapters</h2>
${map}
<div class="wide"><table><tbody>${chapters.join("\n")}</tbody></table></div>
<p><a href="words.html">Words</a>, where they are defined and who uses them.
<a href="ahas.html">Ahas</a>, one for each chapter. <a href="everything.html">Everything</a> on one
page, for printing.</p>
<h2>To look something up</h2>
<ul>${looked.join("\n")}</ul>`;
}

export function wordsHtml(terms: readonly Term[], linksOf: LinksOf): string {
  const link = ({ file, id }: Chapter): string => `<a href="${file}">${id}</a>`;
  const entries = terms.map(({ name, sentence, chapter, usedBy }) => {
    const used = usedBy.length === 0 ? "" : `; used in ${usedBy.map(link).join(", ")}`;
    return `<dt id="${escapeHtml(name.replace(/\W+/g, "-"))}">${escapeHtml(name)}</dt>` +
      `<dd>${inline(sentence, linksOf(chapter))}` +
      `<small>defined in ${link(chapter)}${used}</small></dd>`;
  });
  return `<h1>Words</h1>\n<dl>${entries.join("\n")}</dl>`;
}

export function ahasHtml(lessons: readonly Chapter[], linksOf: LinksOf): string {
  const rows = lessons.map((chapter) => `<dt><a href="${chapter.file}">${chapter.id}</a></dt>` +
    `<dd>${inline(AHAS[chapter.id] ?? hookOf(chapter), linksOf(chapter))}` +
    `<small>It leaves a question: ${inline(questionOf(chapter), linksOf(chapter))}</small></dd>`);
  return `<h1>Ahas</h1>\n<p>What one tells a friend, and the question that leads on.</p>
<dl>${rows.join("\n")}</dl>`;
}

/** Headings of two chapters may be the same, so each has its chapter in front. */
export function everythingHtml(chapters: readonly (Chapter & { html: string })[]): string {
  return chapters.map(({ id, html }) => {
    const own = html.replace(/ id="/g, ` id="${id}-`).replace(/ href="#/g, ` href="#${id}-`)
      .replace(/<details>/g, "<details open>");
    return `<article id="${id}">${own}</article>`;
  }).join("\n");
}

export function sourceHtml(path: string, text: string): string {
  const rows = text.replace(/\n$/, "").split("\n").map((line, at) =>
    `<tr id="L${at + 1}"><td><a href="#L${at + 1}">${at + 1}</a></td>` +
    `<td>${escapeHtml(line)}</td></tr>`);
  return `<h1>${escapeHtml(path)}</h1>
<pre class="source"><table><tbody>${rows.join("")}</tbody></table></pre>`;
}

export function folderHtml(path: string, names: readonly string[]): string {
  const items = names.map((name) =>
    `<li><a href="${encodeURIComponent(name)}.html">${escapeHtml(name)}</a></li>`);
  return `<h1>${escapeHtml(path)}</h1>\n<ul>${items.join("")}</ul>`;
}
