/**
 * Lesson 19: the files of the page, in memory.
 *
 *     dist/dashboard/page/main.js   is   /assets/main.js
 *     dist/layout/mod.js            is   /assets/layout/mod.js, if a module of the page uses it
 *     all style sheets together     are  /assets/style.css
 *
 * In a bundle all of them are in the folder of the page, with their names replaced already.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { createHash } from "node:crypto";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Host } from "#host";
import { shellOf } from "./shell.ts";

export interface Asset {
  readonly type: string;
  /** Of the content: another content has another one. */
  readonly etag: string;
  readonly bytes: Buffer;
  /** The same for browsers that take gzip, which all do. */
  readonly zipped: Buffer;
}

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Compiled code: this folder's parent, or where the build puts it. */
const DIST = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../dist/" : "../", import.meta.url),
);
const FOLDER = "dashboard/page";
const ENTRY = "main.js";
const SHEET = "style.css";

/** A module's name behind `from`, in `import "…"` and in `import("…")`. */
const SPECIFIER = /(?<=\b(?:from|import)\s*\(?\s*)"([^"\n]+)"/g;

/** The same without `import("…")`. */
const STATIC = /(?<=\b(?:from|import)\s*)"([^"\n]+)"/g;

/** What reads a text below `dist`; undefined when there is none. */
export type ReadText = (path: string) => Promise<string | undefined>;

export class Dashboard {
  readonly #texts: ReadonlyMap<string, string>;
  readonly #assets = new Map<string, Asset>();
  /** The page itself. Every path of a view answers it. */
  readonly shell: Asset;

  constructor(texts: ReadonlyMap<string, string>) {
    this.#texts = texts;
    this.shell = assetOf("text/html; charset=utf-8", shellOf({
      modules: reachedFrom(ENTRY, texts), style: SHEET,
    }));
  }

  static async load({ storage }: Pick<Host, "storage">): Promise<Dashboard> {
    const read: ReadText = async (path) => {
      const info = await storage.stat(`${DIST}${path}`);
      if (info?.kind !== "file") return undefined;
      return (await storage.readFile(`${DIST}${path}`)).toString("utf8");
    };
    const own = await filesBelow(storage, "");
    return new Dashboard(await collect(own, read));
  }

  /** Whether there is a program at all: sources alone have none. */
  get isBuilt(): boolean {
    return this.#texts.has(ENTRY);
  }

  /** `path`: what stands behind `/assets/`. */
  find(path: string): Asset | undefined {
    const known = this.#assets.get(path);
    const text = this.#texts.get(path);
    if (known !== undefined || text === undefined) return known;
    const asset = assetOf(TYPES[posix.extname(path)]!, text);
    this.#assets.set(path, asset);
    return asset;
  }
}

/** The files of the page, and of the bricks that they use, as they are sent. */
export async function collect(
  own: readonly string[], read: ReadText,
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  const waiting = own.filter((path) => TYPES[posix.extname(path)] !== undefined);
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (texts.has(path)) continue;
    const source = await read(`${FOLDER}/${path}`) ?? await read(path);
    // A module that names a missing one fails in the browser, which says so by name.
    if (source === undefined) continue;
    const text = path.endsWith(".js") ? forBrowser(source) : source;
    texts.set(path, text);
    if (path.endsWith(".js")) waiting.push(...importsOf(path, text));
  }
  return texts.has(SHEET) ? texts : withSheet(texts);
}

/** All style sheets as one, without comments: together they are a third smaller. */
function withSheet(texts: Map<string, string>): Map<string, string> {
  const sheets = [...texts.keys()].filter((path) => path.endsWith(".css")).sort();
  const text = sheets.map((path) => texts.get(path)!.replace(/\/\*[\s\S]*?\*\/\n*/g, "")).join("");
  for (const path of sheets) texts.delete(path);
  return texts.set(SHEET, text);
}

/** With addresses for names, and without the map of a compiler that works in memory. */
function forBrowser(code: string): string {
  return code
    .replace(SPECIFIER, (_, name: string) =>
      name.startsWith("#") ? `"/assets/${name.slice(1)}/mod.js"` : `"${name}"`)
    .replace(/^\/\/# sourceMappingURL=.*\n?/m, "");
}

/** The modules that a module imports, by their paths. */
function importsOf(path: string, text: string, pattern = SPECIFIER): string[] {
  return [...text.matchAll(pattern)].flatMap(([, name = ""]) => {
    if (name.startsWith("/assets/")) return [name.slice("/assets/".length)];
    return name.startsWith(".") ? [posix.join(posix.dirname(path), name)] : [];
  });
}

/** The entry first. A browser that knows them all asks for them at once; `import()` comes later. */
function reachedFrom(entry: string, texts: ReadonlyMap<string, string>): string[] {
  const found = new Set<string>();
  const visit = (path: string): void => {
    const text = texts.get(path);
    if (text === undefined || found.has(path)) return;
    found.add(path);
    for (const next of importsOf(path, text, STATIC)) visit(next);
  };
  visit(entry);
  return [...found];
}

async function filesBelow(storage: Host["storage"], folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await storage.list(`${DIST}${FOLDER}/${folder}`)) {
    const path = `${folder}${name}`;
    const info = await storage.stat(`${DIST}${FOLDER}/${path}`);
    if (info?.kind === "directory") found.push(...await filesBelow(storage, `${path}/`));
    else found.push(path);
  }
  return found;
}

function assetOf(type: string, text: string): Asset {
  const bytes = Buffer.from(text);
  const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
  return { type, etag, bytes, zipped: gzipSync(bytes, { level: 9 }) };
}
