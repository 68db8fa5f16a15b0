// @ts-check
/**
 * Makes the compiler's declarations readable outside this project.
 *
 *     #host        ->  ../host/mod.js     a reader's tsconfig may have a condition named "source"
 *     ./watch.ts   ->  ./watch.js         `rewriteRelativeImportExtensions` leaves them alone
 *
 * The programs in `dist/` keep their `#name`: there the conditions choose what runs.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, posix, relative, resolve, sep } from "node:path";

/** A module's name behind `from`, in `import "…"` and in `import("…")`. */
const SPECIFIER = /(?<=\bfrom\s*|\bimport\s*\(?\s*)"((?:#|\.{1,2}\/)[^"\n]*)"/g;

/**
 * The "imports" of package.json.
 * @typedef {Readonly<Record<string, Readonly<Record<string, string>>>>} Imports
 */

/**
 * The text of a declaration with relative names only.
 * @param {string} text
 * @param {{ file: string, imports: Imports }} where `file` is its path below dist, with slashes
 */
export function portableDeclaration(text, { file, imports }) {
  return text.replace(SPECIFIER, (found, /** @type {string} */ name) => {
    if (name.startsWith(".")) return `"${name.replace(/\.ts$/, ".js")}"`;
    const target = imports[name]?.default;
    if (target === undefined) return found;
    const path = posix.relative(posix.dirname(posix.join("dist", file)), posix.normalize(target));
    return `"${path.startsWith(".") ? path : `./${path}`}"`;
  });
}

/**
 * Rewrites a declaration, or the map of one, before it moves to its place.
 * @param {string} from where the compiler wrote it
 * @param {{ to: string, dist: string, imports: Imports }} where `to`: its place in folder `dist`
 */
export function finishDeclaration(from, { to, dist, imports }) {
  const text = readFileSync(from, "utf8");
  if (from.endsWith(".d.ts")) {
    const file = relative(dist, to).split(sep).join("/");
    return writeFileSync(from, portableDeclaration(text, { file, imports }));
  }
  const map = JSON.parse(text);
  map.sources = map.sources.map((/** @type {string} */ source) =>
    relative(dirname(to), resolve(dirname(from), source)).split(sep).join("/"));
  writeFileSync(from, JSON.stringify(map));
}

/** @param {string} path */
export const isDeclaration = (path) => path.endsWith(".d.ts") || path.endsWith(".d.ts.map");
