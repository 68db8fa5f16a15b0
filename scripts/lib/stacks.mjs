// @ts-check
/**
 * Loaded into programs of a compiled copy: their stack traces name lines of the sources.
 *
 *     Error.stack, asked for    each frame's file is read, and its map, which is the last line
 *     no stack asked for        nothing is read
 *
 * It is Node's own option --enable-source-maps, but for one thing: Node reads the map of each
 * module that it loads, of two hundred in most tests, and nearly all tests pass. A twentieth of
 * the processor time of `npm test` went there.
 * Left out: the line of the source above an error that nobody has caught.
 * Test: test/learn-failure.test.ts
 */
import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { fileURLToPath } from "node:url";

/** How the compiler ends a file (compiled.mjs). */
const MAP = /\n\/\/# sourceMappingURL=data:application\/json;base64,(\S+)\s*$/;

/** @type {Map<string, SourceMap | undefined>} */
const maps = new Map();

/** @param {string} file as a frame has it: a URL, or a path */
function mapOf(file) {
  if (!maps.has(file)) maps.set(file, readMap(file));
  return maps.get(file);
}

/** @param {string} file */
function readMap(file) {
  try {
    const text = readFileSync(file.startsWith("file:") ? fileURLToPath(file) : file, "utf8");
    const [, encoded] = MAP.exec(text) ?? [];
    if (encoded === undefined) return undefined;
    const map = JSON.parse(Buffer.from(encoded, "base64").toString("utf8"));
    const sources = map.sources.map((/** @type {string} */ source) =>
      fileURLToPath(`${map.sourceRoot}${source}`));
    return new SourceMap({ ...map, sources });
  } catch {
    return undefined; // no file: Node's own modules, and what was given to --eval
  }
}

/** @param {NodeJS.CallSite} frame */
function inSource(frame) {
  const text = String(frame);
  const file = frame.getFileName();
  const [line, column] = [frame.getLineNumber(), frame.getColumnNumber()];
  if (typeof file !== "string" || line === null || column === null) return text;
  const entry = mapOf(file)?.findEntry(line - 1, column - 1);
  if (entry === undefined || !("originalSource" in entry)) return text;
  const { originalSource, originalLine, originalColumn } = entry;
  const place = `${originalSource}:${originalLine + 1}:${originalColumn + 1}`;
  return text.replace(`${file}:${line}:${column}`, () => place);
}

Error.prepareStackTrace = (error, frames) =>
  [Error.prototype.toString.call(error), ...frames.map(inSource)].join("\n    at ");
