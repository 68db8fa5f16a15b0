/**
 * The book: every lesson and manual as a page of HTML that needs nothing else.
 *
 *     lessons/NN-name/README.md, hints.md ─▶ NN-name.html      quotes with path and lines, answers
 *     docs/….md                           ─▶ docs/….html        folded, hints a rung at a time
 *     files that they name                 ─▶ source/….html     with line numbers to link to
 *     all lessons                          ─▶ words.html, ahas.html, everything.html, the search
 *
 * Test: test/book.test.ts
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { listChapters } from "../lib/chapters.mjs";
import { filesUnder } from "../lib/files.mjs";
import { readingTime, strip } from "../learn/captions.ts";
import { readHints } from "../learn/exercises.ts";
import { parseQuote } from "../learn/form.ts";
import { findRegion, hasExercise } from "../learn/regions.ts";
import { type Heading, render, type Rendering } from "./blocks.ts";
import {
  ahasHtml, coverHtml, everythingHtml, folderHtml, sourceHtml, wordsHtml,
} from "./extras.ts";
import { escapeHtml, inline, type Links, plain } from "./inline.ts";
import { mapHtml } from "./map.ts";
import { type Neighbour, pageOf } from "./page.ts";
import { searchIndex } from "./search.ts";
import { type Chapter, termsOf } from "./terms.ts";

/** A page that is made of a Markdown file. */
interface Source extends Chapter {
  /** Relative to the project. */
  readonly path: string;
}

interface Around {
  readonly before?: Neighbour | undefined;
  readonly after?: Neighbour | undefined;
}

/** By path within the book. */
export type Files = ReadonlyMap<string, string | Buffer>;

export function makeBook(root: string): Files {
  return new Book(root).files();
}

class Book {
  readonly #root: string;
  readonly #files = new Map<string, string | Buffer>();
  readonly #lessons: readonly Source[];
  readonly #manuals: readonly Source[];
  readonly #byPath: ReadonlyMap<string, Source>;
  /** Source files with a page, and those whose page is still to be made. */
  readonly #sources = new Set<string>();

  constructor(root: string) {
    this.#root = root;
    this.#lessons = listChapters(root).filter(({ hasLesson }) => hasLesson)
      .map(({ id }) => this.#source(`lessons/${id}/README.md`, id, `${id}.html`));
    this.#manuals = filesUnder(join(root, "docs"))
      .map((file) => relative(root, file)).filter((path) => path.endsWith(".md"))
      .map((path) => this.#source(path, path, path === "docs/README.md" ? "start.html"
        : path.replace(/\.md$/, ".html")));
    this.#byPath = new Map([...this.#lessons, ...this.#manuals].map((each) => [each.path, each]));
  }

  files(): Files {
    const start = this.#manuals.filter(({ file }) => file === "start.html");
    const way = [...start, ...this.#lessons];
    for (const [at, source] of way.entries()) {
      this.#page(source, { before: neighbour(way[at - 1]), after: neighbour(way[at + 1]) });
    }
    const manuals = this.#manuals.filter((source) => !start.includes(source));
    for (const source of manuals) this.#page(source, {});
    const links = new Map(this.#lessons.map((source) => [source.id, this.#links(source)]));
    const linksOf = ({ id }: Chapter): Links => links.get(id)!;
    const map = mapHtml(this.#root, this.#lessons);
    this.#extra("index.html", "Titan", coverHtml(this.#lessons, { manuals, map }));
    this.#extra("words.html", "Words", wordsHtml(termsOf(this.#lessons), linksOf));
    this.#extra("ahas.html", "Ahas", ahasHtml(this.#lessons, linksOf));
    const chapters = this.#lessons.map((source) => ({ ...source, ...this.#rendered(source) }));
    this.#extra("everything.html", "Everything", everythingHtml(chapters));
    // Pages of files link to nothing but files, so this ends.
    for (const path of this.#sources) this.#sourcePage(path);
    this.#files.set("search-index.js", searchIndex([...way, ...manuals]));
    for (const name of ["book.css", "book.js"]) {
      this.#files.set(name, readFileSync(join(this.#root, "scripts/book", name)));
    }
    return this.#files;
  }

  #extra(file: string, title: string, html: string): void {
    this.#files.set(file, pageOf({ title, file, html, headings: [] }));
  }

  #sourcePage(path: string): void {
    const full = join(this.#root, path);
    if (statSync(full).isDirectory()) {
      const names = readdirSync(full, { withFileTypes: true })
        .filter((entry) => entry.isFile()).map(({ name }) => name).sort();
      for (const name of names) this.#sources.add(posix.join(path, name));
      this.#extra(`source/${path}/index.html`, path, folderHtml(path, names));
    } else {
      const bytes = readFileSync(full);
      this.#extra(`source/${path}.html`, path, sourceHtml(path, bytes.toString("utf8")));
    }
  }

  #source(path: string, id: string, file: string): Source {
    // What a lesson has for readers of its Markdown, this book makes itself, with lines.
    const markdown = strip(readFileSync(join(this.#root, path), "utf8"));
    const title = /^# (.*)$/m.exec(markdown)?.[1] ?? id;
    return { path, id, file, title, markdown };
  }

  #page(source: Source, around: Around): void {
    const { html, headings } = this.#rendered(source);
    const isLesson = this.#lessons.includes(source);
    const lead = isLesson ? this.#lead(source) : "";
    this.#files.set(source.file, pageOf({
      title: plain(source.title), file: source.file, lead, html, headings, ...around,
    }));
  }

  #rendered(source: Source): { html: string; headings: readonly Heading[] } {
    const links = this.#links(source);
    const rendering = {
      ...links, fence: (info: string, lines: readonly string[]) => this.#fence(source, info, lines),
    };
    const { html, headings } = render(source.markdown, rendering);
    const hints = this.#hints(source, rendering);
    // They belong to the exercise, whose section ends where the next one begins.
    const at = html.indexOf('<h2 id="what-real-systems-do"');
    return { html: at < 0 ? html + hints : html.slice(0, at) + hints + html.slice(at), headings };
  }

  #lead({ id, markdown }: Source): string {
    const named = [...markdown.matchAll(/\bchapters? (\d\d)\b/gi)].map((match) => match[1]!)
      .filter((number) => number < id.slice(0, 2));
    const before = this.#lessons.filter(({ id: other }) => named.includes(other.slice(0, 2)));
    const links = before.map(({ file, id: other }) => `<a href="${file}">${other}</a>`).join(", ");
    const back = links === "" ? "" : ` It looks back at ${links}.`;
    return `<p class="lead">${readingTime(markdown)}.${back}</p>`;
  }

  #links(source: Source): Links {
    const up = "../".repeat(source.file.split("/").length - 1);
    return {
      href: (target) => {
        if (/^[a-z]+:/.test(target) || target.startsWith("#")) return target;
        const [path = "", anchor] = target.split("#");
        const to = posix.join(dirname(source.path), path).replace(/\/$/, "");
        return up + this.#fileFor(to) + (anchor === undefined ? "" : `#${anchor}`);
      },
      picture: (target) => {
        if (/^[a-z]+:/.test(target)) return target;
        const path = posix.join(dirname(source.path), target);
        const file = `pictures/${path.replaceAll("/", "-")}`;
        this.#files.set(file, readFileSync(join(this.#root, path)));
        return up + file;
      },
    };
  }

  /** The page of a file or folder of the project. */
  #fileFor(path: string): string {
    if (path === "README.md") return "index.html";
    const page = this.#byPath.get(path);
    if (page !== undefined) return page.file;
    const full = join(this.#root, path);
    if (!existsSync(full)) throw new Error(`Cannot make the book: a link leads to ${path}`);
    const readme = this.#byPath.get(`${path}/README.md`);
    if (readme !== undefined) return readme.file;
    this.#sources.add(path);
    return statSync(full).isDirectory() ? `source/${path}/index.html` : `source/${path}.html`;
  }

  #fence(source: Source, info: string, lines: readonly string[]): string {
    const code = `<pre><code>${escapeHtml(lines.join("\n"))}</code></pre>`;
    const quote = parseQuote({ info });
    if (quote === undefined) return code;
    const { file, region } = quote;
    const text = readFileSync(join(this.#root, file), "utf8");
    const range = region === undefined ? undefined : findRegion(text, region);
    const up = "../".repeat(source.file.split("/").length - 1);
    const where = range === undefined ? "" : `, lines ${range.from} to ${range.to}`;
    const href = `${up}${this.#fileFor(file)}${range === undefined ? "" : `#L${range.from}`}`;
    const figure = `<figure>${code}<figcaption><a href="${escapeHtml(href)}">` +
      `${escapeHtml(file)}</a>${where}</figcaption></figure>`;
    if (range === undefined || !hasExercise(text, range)) return figure;
    return `<details><summary>Ours, from ${escapeHtml(file)}. It is an exercise of this chapter: ` +
      `write yours first.</summary>${figure}</details>`;
  }

  /** A rung opens only when the one before it has not been enough. */
  #hints({ path }: Source, links: Rendering): string {
    const file = join(this.#root, dirname(path), "hints.md");
    if (!path.startsWith("lessons/") || !existsSync(file)) return "";
    const rungs = ["A nudge", "A plan", "Nearly the solution"];
    const all = [...readHints(readFileSync(file, "utf8"))].map(([name, hints]) =>
      `<h4>${inline(`\`${name}\``, links)}</h4>` + [...hints.rungs.values()].map((hint, at) =>
        `<details><summary>${rungs[at] ?? "More"}</summary>${render(hint, links).html}</details>`)
        .join(""));
    return `<section class="hints">${all.join("\n")}</section>`;
  }
}

function neighbour(source: Source | undefined): Neighbour | undefined {
  return source && { file: source.file, title: plain(source.title) };
}

