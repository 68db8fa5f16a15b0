/**
 * Lesson 19: the files that go with a pipeline: scripts that were written here, or chosen from the
 * person's computer. They are sent together with the text, and are kept with the draft.
 *
 * Invariant: what is kept here can be sent: texts, so many bytes, paths inside of a folder.
 * Left out: files that are no text. `titan run` ships those, from the folder of a pipeline file.
 * Test: test/19-dashboard.build.files.test.ts
 */
import { valueOf, type Document } from "./document.ts";
import { EditError } from "./edit.ts";

/** Texts by their paths. */
export type Files = ReadonlyMap<string, string>;

export const NO_FILES: Files = new Map();
/** A script is not longer, and a text area is slow with more. */
export const MAX_FILE_BYTES = 1024 * 1024;
/** All of them. As JSON they have to fit into a request of 8 MiB, together with the pipeline. */
export const MAX_FILES_BYTES = 4 * 1024 * 1024;
export const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_PATH_CHARS = 255;

export const INSTEAD = "Put it beside a pipeline file, and use titan run";

/** Why nothing can be kept at this path; undefined for a good one. */
export function pathProblem(path: string): string | undefined {
  const parts = path.split("/");
  if (path === "" || path.length > MAX_PATH_CHARS) {
    return `A path has 1 to ${MAX_PATH_CHARS} signs.`;
  }
  if (/^[/~]|^[A-Za-z]:|[\\\x00-\x1f]/.test(path) || parts.some((part) => /^\.{0,2}$/.test(part))) {
    return `“${path}” is no path inside of a folder: write it as scripts/train.py.`;
  }
  return undefined;
}

/** With this text at this path; undefined: without it. @throws {EditError} */
export function withFile(files: Files, path: string, text: string | undefined): Files {
  const next = new Map(files);
  if (text === undefined) {
    next.delete(path);
    return next;
  }
  const bytes = sizeOf(text);
  const problem = pathProblem(path) ?? aboutFolders(files, path);
  if (problem !== undefined) throw new EditError(problem);
  if (bytes > MAX_FILE_BYTES) {
    throw new EditError(`Cannot keep ${path}: it is larger than 1 MiB. ${INSTEAD}.`);
  }
  next.set(path, text);
  const all = [...next.values()].reduce((sum, each) => sum + each.length, 0);
  // Most texts have one byte for a sign: only then it has to be counted.
  const isLong = all > MAX_FILES_BYTES / 3 &&
    [...next.values()].reduce((sum, each) => sum + sizeOf(each), 0) > MAX_FILES_BYTES;
  if (isLong) {
    throw new EditError(`Cannot keep ${path}: all files together would be larger than 4 MiB. ` +
      `${INSTEAD}.`);
  }
  return next;
}

function sizeOf(text: string): number {
  return text.length > MAX_FILE_BYTES / 3 ? new TextEncoder().encode(text).length : text.length;
}

/** `a` cannot be a file and a folder. */
function aboutFolders(files: Files, path: string): string | undefined {
  const other = [...files.keys()].find((each) =>
    each.startsWith(`${path}/`) || path.startsWith(`${each}/`));
  return other === undefined ? undefined : `Cannot keep ${path}: there is ${other} already.`;
}

/** The text of a file of the person's computer. @throws {EditError} */
export function decoded(name: string, bytes: Uint8Array): string {
  if (bytes.length > MAX_FILE_BYTES) {
    throw new EditError(`Cannot take ${name}: it is larger than 1 MiB. ${INSTEAD}.`);
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!text.includes("\0")) return text;
  } catch {
    // No UTF-8: the same answer.
  }
  throw new EditError(`Cannot take ${name}: it is no text (UTF-8). ${INSTEAD}.`);
}

/** The paths that jobs name, each with the key of the first job that does. */
export function namedFiles({ jobs }: Document): Map<string, string> {
  const found = new Map<string, string>();
  for (const { key, node } of jobs) {
    for (const [field, end] of [["file", undefined], ["call", "#"]] as const) {
      const value = valueOf(node, field);
      const text = value?.kind === "scalar" ? value.text : "";
      const path = (end === undefined ? text : text.slice(0, Math.max(0, text.indexOf(end))))
        .split("/").filter((part) => part !== "" && part !== ".").join("/");
      if (pathProblem(path) === undefined && !found.has(path)) found.set(path, key);
    }
  }
  return found;
}

/** What is sent. `namesOnly`: for a check, which reads no file. @throws {EditError} */
export function bodyOf(
  pipeline: string,
  { files, from, namesOnly = false }: {
    files: Files; from: string | undefined; namesOnly?: boolean;
  },
): string {
  const texts = [...files].map(([path, text]) => [path, namesOnly ? "" : text] as const);
  const folder = texts.length === 0 && from !== undefined ? { projectOf: from } : {};
  const body = JSON.stringify({ pipeline, files: Object.fromEntries(texts), ...folder });
  if (body.length > MAX_BODY_BYTES / 3 && new TextEncoder().encode(body).length > MAX_BODY_BYTES) {
    throw new EditError("Cannot send the pipeline and its files: together they are larger than " +
      `8 MiB. ${INSTEAD}.`);
  }
  return body;
}
