/** The book: every link leads somewhere, nothing comes from elsewhere, and answers are folded. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join, posix } from "node:path";
import { before, test } from "node:test";
import vm from "node:vm";
import { render, type Rendering } from "../scripts/book/blocks.ts";
import { makeBook, type Files } from "../scripts/book/book.ts";
import { inline } from "../scripts/book/inline.ts";
import { nearest, usesOf } from "../scripts/book/map.ts";
import { termsOf } from "../scripts/book/terms.ts";
import { listChapters } from "../scripts/lib/chapters.mjs";
import { programArguments } from "../scripts/lib/compiled.mjs";

const ROOT = join(import.meta.dirname, "..");
const links: Rendering = {
  href: (target) => `to:${target}`, picture: (target) => `picture:${target}`,
  fence: (info, lines) => `<pre data-info="${info}">${lines.join("\n")}</pre>`,
};
const html = (markdown: string): string => render(markdown, links).html;

let files: Files;
let pages: readonly (readonly [string, string])[];
before(() => {
  files = makeBook(ROOT);
  pages = [...files].flatMap(([name, content]) =>
    name.endsWith(".html") ? [[name, String(content)] as const] : []);
});

test("the book says where it cannot be written, and how to have it elsewhere", () => {
  const program = programArguments(ROOT, "scripts/book/main.ts");
  const { status, stderr } = spawnSync(process.execPath,
    [...program, "--out", join(ROOT, "package.json", "book")], { cwd: ROOT, encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr,
    /^Cannot make the book: .*package\.json is not yours to write into \(E\w+\)\. .*--out DIR\n$/);
});

test("every link and every picture of the book leads to something that is in it", () => {
  const ids = new Map(pages.map(([name, text]) =>
    [name, new Set([...text.matchAll(/ id="([^"]*)"/g)].map((match) => match[1]!))]));
  const dead: string[] = [];
  let count = 0;
  for (const [name, text] of pages) {
    for (const [, target = ""] of text.matchAll(/ (?:href|src)="([^"]*)"/g)) {
      if (/^https?:/.test(target)) continue;
      count += 1;
      const [path = "", anchor] = target.replaceAll("&amp;", "&").split("#");
      const to = path === "" ? name : posix.join(posix.dirname(name), decodeURIComponent(path));
      const isThere = files.has(to) && (anchor === undefined || ids.get(to)?.has(anchor));
      if (!isThere) dead.push(`${name}: ${target}`);
    }
  }
  assert.deepEqual(dead, []);
  assert.ok(count > 2000, `${count} links`);
});

test("the cover has a map: each chapter, and lines from those whose code it uses", () => {
  const cover = String(files.get("index.html"));
  const [map = ""] = /<svg class="map"[^]*<\/svg>/.exec(cover) ?? [];
  const ids = listChapters(ROOT).filter(({ hasLesson }) => hasLesson).map(({ id }) => id);
  const shown = [...map.matchAll(/<a href="([^"]+)\.html">/g)].map(([, id]) => id);
  assert.deepEqual(shown, ids);
  const uses = usesOf(ROOT, ids);
  const lines = nearest(uses);
  assert.equal([...map.matchAll(/<path /g)].length, lines.flat().length);
  const names = (places: readonly number[] | undefined) => places?.map((at) => ids[at]);
  const rpc = ids.indexOf("04-rpc");
  // Its code uses src/queue and src/retry, too: those are later chapters.
  assert.deepEqual(names(uses[rpc]), ["01-framing"]);
  const store = ids.indexOf("15-store");
  assert.ok(names(uses[store])!.includes("01-framing"), "by way of rpc");
  assert.ok(!names(lines[store])!.includes("01-framing"), "where the line of rpc leads");
  assert.deepEqual(nearest([[], [0], [0, 1], [0, 2]]), [[], [0], [1], [2]]);
});

test("every lesson has a page, on the way from one to the next", () => {
  const lessons = listChapters(ROOT).filter(({ hasLesson }) => hasLesson);
  const text = new Map(pages);
  for (const [at, { id }] of lessons.entries()) {
    const page = text.get(`${id}.html`)!;
    assert.match(page, /<p class="lead">\d+ minutes/, id);
    const next = lessons[at + 1];
    if (next !== undefined) assert.match(page, new RegExp(`rel="next" href="${next.id}\\.html"`));
    assert.match(text.get("everything.html")!, new RegExp(`<article id="${id}">`));
    assert.match(text.get("index.html")!, new RegExp(`href="${id}\\.html"`));
    assert.match(text.get("ahas.html")!, new RegExp(`href="${id}\\.html"`));
  }
});

test("nothing is fetched from elsewhere, and no page has a script or a style of its own", () => {
  for (const [name, text] of pages) {
    assert.doesNotMatch(text, /<(?:script|link|img)[^>]*(?:src|href)="(?:https?:)?\/\//, name);
    assert.doesNotMatch(text, /<script(?! defer src=)|<style| style="| on\w+="/, name);
  }
});

test("a quote names its file and lines, and one with an exercise in it is folded", () => {
  const page = new Map(pages).get("05-log.html")!;
  const quote = /<details><summary>Ours, from src\/log\/record\.ts[^]*?<\/details>/.exec(page)![0];
  assert.match(quote, /write yours first/);
  assert.match(quote, /href="source\/src\/log\/record\.ts\.html#L\d+">src\/log\/record\.ts<\/a>/);
  assert.match(quote, /<\/a>, lines \d+ to \d+</);
  assert.match(page, /<h4><code>judgeTail<\/code><\/h4><details><summary>A nudge<\/summary>/);
  assert.ok(page.indexOf("A nudge") < page.indexOf('id="what-real-systems-do"'));
});

test("render() makes lists within lists, tables with bars in code, and fences within items", () => {
  assert.equal(html("- a\n- b\n  - c\n\n    d\n"),
    "<ul><li>a</li><li>b\n<ul><li><p>c</p>\n<p>d</p></li></ul></li></ul>");
  assert.equal(html("- a\n\n- b\n\nc"), "<ul><li>a</li><li>b</li></ul>\n<p>c</p>");
  assert.equal(html("3. a\n4. b"), '<ol start="3"><li>a</li><li>b</li></ol>');
  assert.equal(html("1. a\n   ```ts run\n   x\n   ```\n"),
    '<ol><li>a\n<pre data-info="ts run">x</pre></li></ol>');
  assert.match(html("| a | b |\n|---|---|\n| `x|y` | \\| |\n"),
    /<tr><td><code>x\|y<\/code><\/td><td>\|<\/td><\/tr>/);
  assert.equal(html("a\n## b c\n## b c\n"), '<p>a</p>\n' +
    '<h2 id="b-c">b c<a class="anchor" href="#b-c" aria-hidden="true">#</a></h2>\n' +
    '<h2 id="b-c-1">b c<a class="anchor" href="#b-c-1" aria-hidden="true">#</a></h2>');
});

test("inline() escapes all text, and finds no marks in code", () => {
  assert.equal(inline("`a<b>*c*` <i> **b** *e* a*b*c", links),
    "<code>a&lt;b&gt;*c*</code> &lt;i&gt; <strong>b</strong> <em>e</em> a*b*c");
  assert.equal(inline("[`x` y](a.md#b) ![p](q.png)", links),
    '<a href="to:a.md#b"><code>x</code> y</a> <img src="picture:q.png" alt="p">');
  assert.equal(inline("![p](q.svg)", links),
    '<a href="picture:q.svg"><img src="picture:q.svg" alt="p"></a>');
  assert.equal(inline('[a](javascript:"x")', { ...links, href: (target) => target }),
    '<a href="javascript:&quot;x&quot;">a</a>');
});

test("termsOf() takes words where they are defined, and no names of other systems", () => {
  const chapter = (id: string, markdown: string) =>
    ({ id, title: id, file: `${id}.html`, markdown });
  const terms = termsOf([
    chapter("01", "# 01\n\n## The idea\n\nA. A **frame** is a box. So.\n\n" +
      "**Boxes are good.** Yes.\n\n## What real systems do\n\n**Redis** has **boxes**.\n"),
    chapter("02", "# 02\n\nframes again\n"),
  ]);
  assert.deepEqual(terms.map(({ name, sentence, usedBy }) => [name, sentence, usedBy.length]),
    [["frame", "A **frame** is a box.", 1]]);
});

test("the search finds a section by its words, from an index that is one script", () => {
  const context: { TITAN_BOOK?: { t: string; h: string; u: string; x: string }[] } = {};
  vm.runInNewContext(String(files.get("search-index.js")), context);
  const found = context.TITAN_BOOK!.filter(({ x }) => x.includes("torn tail"));
  assert.ok(found.some(({ u }) => u.startsWith("05-log.html#")));
  const anchors = new Map(pages);
  for (const { u } of context.TITAN_BOOK!) {
    const [file = "", anchor] = u.split("#");
    if (anchor !== undefined) assert.ok(anchors.get(file)!.includes(` id="${anchor}"`), u);
  }
});
