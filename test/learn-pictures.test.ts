/** The drawn pictures of the lessons: they show what programs print and what the code does. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseMarkdown } from "../scripts/learn/markdown.ts";
import { drawPicture, text } from "../scripts/learn/pictures/frame.ts";
import { type LessonPicture, PICTURES } from "../scripts/learn/pictures/mod.ts";

const ROOT = join(import.meta.dirname, "..");
/** Of 400 units: at 320 pixels letters of 10.5 units are 8.4 pixels high. */
const LEAST_LETTERS = 10.5;
/** Advance of a monospaced letter by its size. */
const ADVANCE = 0.61;

/** A picture as its lesson's transcript, or the code of its chapter, makes it. */
async function drawn({ lesson, file, script, draw }: LessonPicture): Promise<string> {
  const readme = readFileSync(join(ROOT, "lessons", lesson, "README.md"), "utf8");
  assert.match(readme, new RegExp(`^!\\[[^\\]]{40,}\\]\\(${file}\\)$`, "m"), `${lesson}: ${file}`);
  if (script === undefined) return await draw([]);
  const fence = parseMarkdown(readme).fences
    .find(({ lines }) => lines[0] === `$ npm run -s try ${script}`);
  assert.ok(fence, `${lesson} shows what ${script} prints`);
  return await draw(fence.lines);
}

test("the drawn pictures in the lessons are those of the code and the transcripts", async () => {
  for (const picture of PICTURES) {
    const svg = await drawn(picture);
    const path = join(ROOT, "lessons", picture.lesson, picture.file);
    if (process.env["TITAN_RECORD"]) writeFileSync(path, svg);
    assert.equal(readFileSync(path, "utf8"), svg, `${picture.file}: TITAN_RECORD=1 draws it`);
  }
});

test("the drawn pictures can be read on a telephone, in the dark, and aloud", () => {
  for (const { lesson, file } of PICTURES) {
    const svg = readFileSync(join(ROOT, "lessons", lesson, file), "utf8");
    assert.match(svg, /viewBox="0 0 400 \d+(\.\d)?"/, file);
    assert.match(svg, /<title id="title">[^<]{15,}<\/title>/, file);
    assert.match(svg, /<desc id="description">[^<]{40,}<\/desc>/, file);
    assert.match(svg, /@media\(prefers-color-scheme:dark\)/, file);
    assert.doesNotMatch(svg, /NaN|undefined|href|url\(|<script|<image/, file);
    for (const [, size = ""] of svg.matchAll(/font(?:-size)?:([\d.]+)px/g)) {
      assert.ok(Number(size) >= LEAST_LETTERS, `${file}: letters of ${size}`);
    }
    for (const each of textsOf(svg)) {
      assert.ok(each.from >= 0 && each.to <= 400, `${file}: "${each.words}" leaves the page`);
    }
  }
});

interface Text {
  readonly words: string;
  readonly from: number;
  readonly to: number;
}

function textsOf(svg: string): Text[] {
  const pattern =
    /<text(?: class="([^"]*)")?(?: text-anchor="(\w+)")? x="([\d.-]+)"[^>]*>([^<]*)</g;
  return [...svg.matchAll(pattern)].map(([, style = "", anchor = "", x = "", words = ""]) => {
    const shown = words.replace(/&#\d+;/g, "?");
    const width = [...shown].length * (style === "small" ? LEAST_LETTERS : 12) * ADVANCE;
    const from = Number(x) - (anchor === "end" ? width : anchor === "middle" ? width / 2 : 0);
    return { words: shown, from, to: from + width };
  });
}

test("drawPicture() escapes what it is given", () => {
  const svg = drawPicture({
    title: "a <b>", description: "c & d", height: 10, parts: [text({ x: 1, y: 2 }, "<e>")],
  });
  assert.match(svg, /a &#60;b&#62;<[^]*c &#38; d<[^]*>&#60;e&#62;</);
});
