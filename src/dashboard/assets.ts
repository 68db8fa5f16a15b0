/**
 * Lesson 19: the files of the page, in memory.
 *
 *     dist/dashboard/assets/main.js   is   /assets/main.js
 *
 * The build makes that folder (collect.ts), and so does package_cloud.sh. Where it is missing, as
 * in a copy of the project in which a module was compiled again, its files are made at the first
 * look, of dist/dashboard/page and the bricks: that takes up to two fifths of a second.
 *
 * Test: test/19-dashboard.shell.test.ts
 */
import { createHash } from "node:crypto";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Host } from "#host";
import { ASSETS, collect, ENTRY, importsOf, PAGE, SHEET, type ReadText } from "./collect.ts";
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

/** A module's name behind `from` and in `import "…"`: what is needed at the start. */
const STATIC = /(\b(?:from |import ))"(\.[^"\n]+)"/g;

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
    const made = await filesBelow(storage, ASSETS);
    if (made.length === 0) {
      return new Dashboard(await collect(await filesBelow(storage, PAGE), read));
    }
    const texts = made.map(async (path) => [path, await read(`${ASSETS}/${path}`) ?? ""] as const);
    return new Dashboard(new Map(await Promise.all(texts)));
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

/** Relative to `top`, which is below `dist`. */
async function filesBelow(storage: Host["storage"], top: string, folder = ""): Promise<string[]> {
  const found: string[] = [];
  for (const name of await storage.list(`${DIST}${top}/${folder}`)) {
    const path = `${folder}${name}`;
    const info = await storage.stat(`${DIST}${top}/${path}`);
    if (info?.kind === "directory") found.push(...await filesBelow(storage, top, `${path}/`));
    else found.push(path);
  }
  return found;
}

function assetOf(type: string, text: string): Asset {
  const bytes = Buffer.from(text);
  const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
  return { type, etag, bytes, zipped: gzipSync(bytes, { level: 9 }) };
}
