/**
 * The map of chapters on the cover: whose code uses that of which earlier chapter, as the imports
 * say, drawn by the same layout that draws pipelines (src/layout).
 *
 * What is used by way of others counts, be they chapters or not (src/wire). A line is left out
 * where a longer way along lines leads to the same chapter. Imports of types are no use.
 * Test: test/book.test.ts
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { layout, wayOf } from "#layout";
import { filesUnder } from "../lib/files.mjs";
import { escapeHtml } from "./inline.ts";
import type { Chapter } from "./terms.ts";

const SIZE = { nodeWidth: 124, nodeHeight: 30, columnGap: 44, rowGap: 10 };
const MARGIN = 4;
const IMPORT = /^(?:import|export)\b(?! type)[^;]*?from "#([\w-]+)"/gm;

export function mapHtml(root: string, lessons: readonly Chapter[]): string {
  const ids = lessons.map(({ id }) => id);
  const { nodes, edges, width, height } = layout(nearest(usesOf(root, ids)), SIZE);
  const lines = edges.map((edge) => `<path d="${wayOf(edge)}"/>`);
  const boxes = nodes.map(({ x, y }, at) => {
    const { id, file } = lessons[at]!;
    return `<a href="${file}"><rect x="${x}" y="${y}" width="${SIZE.nodeWidth}" ` +
      `height="${SIZE.nodeHeight}" rx="5"/><text x="${x + 8}" y="${y + SIZE.nodeHeight / 2}">` +
      `${escapeHtml(id)}</text></a>`;
  });
  const view = `${-MARGIN} ${-MARGIN} ${width + 2 * MARGIN} ${height + 2 * MARGIN}`;
  return `<figure><div class="wide"><svg class="map" viewBox="${view}" width="${width}" role="group"
aria-label="Map of the chapters">${lines.join("")}${boxes.join("")}</svg></div>
<figcaption>A line leads from a chapter to a later one whose code uses it.</figcaption></figure>`;
}

/** For each chapter, the places of the earlier ones whose code its own uses. */
export function usesOf(root: string, ids: readonly string[]): number[][] {
  const folders = ids.map((id) => folderOf(root, id));
  const known = new Map<string, readonly string[]>();
  const importsOf = (name: string): readonly string[] => {
    const found = known.get(name) ?? importsIn(join(root, "src", name));
    known.set(name, found);
    return found;
  };
  return folders.map((folder, at) => {
    const seen = new Set<string>();
    const look = (name: string): void => {
      for (const used of importsOf(name)) {
        if (seen.has(used)) continue;
        seen.add(used);
        look(used);
      }
    };
    if (folder !== undefined) look(folder);
    return [...seen].map((name) => folders.indexOf(name))
      .filter((other) => other >= 0 && other < at).sort((a, b) => a - b);
  });
}

/** Lesson 17 is called pipelines, and its folder pipeline. */
function folderOf(root: string, id: string): string | undefined {
  const name = id.replace(/^\d+-/, "");
  return [name, name.replace(/s$/, "")].find((each) => existsSync(join(root, "src", each)));
}

function importsIn(folder: string): string[] {
  const texts = filesUnder(folder).filter((file) => file.endsWith(".ts"))
    .map((file) => readFileSync(file, "utf8"));
  return texts.flatMap((text) => [...text.matchAll(IMPORT)].map(([, name]) => name!));
}

/** Without those that another one uses, directly or not. */
export function nearest(uses: readonly (readonly number[])[]): number[][] {
  const all: Set<number>[] = [];
  for (const list of uses) all.push(new Set(list.flatMap((at) => [at, ...all[at]!])));
  return uses.map((list) => list.filter((at) => !list.some((other) => all[other]!.has(at))));
}
