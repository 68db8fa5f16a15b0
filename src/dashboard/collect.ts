/**
 * Lesson 19: the files of the page as they travel: few large ones in place of many small ones.
 *
 *     parts/badge.js ─┐
 *     layout/rank.js ─┼──▶  parts/list.js     modules that the same programs load, each behind
 *     parts/list.js  ─┘                       those that it needs
 *     style/*.css    ────▶  style.css
 *
 * A file that is compressed by itself cannot say "as above": together they are a fifth smaller, and
 * a browser asks a sixth as often. Names stay, lines stay without their indents, and what
 * `import()` brings later still comes later. The packages of chapter 24 are made in the same way.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { posix } from "node:path";
import { merge, reach, reindent } from "#packaging";

/** Below `dist`: what the compiler makes, and what is made of it here. */
export const PAGE = "dashboard/page";
export const ASSETS = "dashboard/assets";
export const ENTRY = "main.js";
export const SHEET = "style.css";
/** What the shell starts. */
const PROGRAMS = [ENTRY, "theme.js"];
/** Names of ours that a browser has, too: beside them no module stands that means the browser's. */
export const NAMES_OF_BROWSERS: readonly string[] =
  ["confirm", "navigation", "scrollTo", "toolbar"];
const ENDINGS: ReadonlySet<string> = new Set([".js", ".css", ".svg"]);

/** A module's name behind `from`, in `import "…"` and in `import("…")`. */
const SPECIFIER = /(\b(?:from |import ?\(?))"([#.][^"\n]+)"/g;

/** What reads a text below `dist`; undefined when there is none. */
export type ReadText = (path: string) => Promise<string | undefined>;

/** The files of the page, and of the bricks that they use, as they are sent. */
export async function collect(
  own: readonly string[], read: ReadText,
): Promise<Map<string, string>> {
  const texts = await textsOf(own, read);
  const scripts = [...texts].filter(([path]) => path.endsWith(".js"));
  for (const [path] of scripts) texts.delete(path);
  for (const [path, text] of merged(new Map(scripts))) texts.set(path, reindent(text, 0));
  return withSheet(texts);
}

async function textsOf(own: readonly string[], read: ReadText): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  const waiting = own.filter((path) => ENDINGS.has(posix.extname(path)));
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (texts.has(path)) continue;
    const source = await read(`${PAGE}/${path}`) ?? await read(path);
    if (source === undefined) continue;
    const text = path.endsWith(".js") ? forBrowser(path, source) : source;
    texts.set(path, text);
    if (path.endsWith(".js")) waiting.push(...importsOf(path, text));
  }
  return texts;
}

/** With paths for names, and without the map of a compiler that works in memory. */
function forBrowser(path: string, code: string): string {
  const folder = posix.dirname(path);
  return code
    .replace(SPECIFIER, (all, before: string, name: string) => {
      if (!name.startsWith("#")) return all;
      const to = posix.relative(folder, `${name.slice(1)}/mod.js`);
      return `${before}"${to.startsWith(".") ? to : `./${to}`}"`;
    })
    .replace(/^\/\/# sourceMappingURL=.*\n?/m, "");
}

/** The modules that a module imports, by their paths. */
export function importsOf(path: string, text: string, pattern = SPECIFIER): string[] {
  return [...text.matchAll(pattern)].map(([, , name = ""]) =>
    posix.join(posix.dirname(path), name));
}

function merged(scripts: ReadonlyMap<string, string>): Map<string, string> {
  const roots = PROGRAMS.filter((path) => scripts.has(path));
  const imports = new Map<string, string>();
  const reached = reach(roots, { read: (file) => scripts.get(file), imports });
  return merge(reached, { roots, imports, globals: NAMES_OF_BROWSERS, isWide: true });
}

/** All style sheets as one, without comments and indents: together they are a third smaller. */
function withSheet(texts: Map<string, string>): Map<string, string> {
  const sheets = [...texts.keys()].filter((path) => path.endsWith(".css")).sort();
  const text = sheets.map((path) => texts.get(path)!
    .replace(/\/\*[\s\S]*?\*\/\n*/g, "").replace(/\n\s+/g, "\n")).join("");
  for (const path of sheets) texts.delete(path);
  return texts.set(SHEET, text);
}
