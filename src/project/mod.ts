/**
 * Lesson 11: a project is a folder that travels. `packProject` makes one file of it, which is known
 * by its hash; `ensureProject` unpacks it on a worker, once for all jobs that need it.
 *
 *     archive.ts   a folder as bytes, and back; nothing escapes the folder it is unpacked into
 *     ignore.ts    what stays out of it: .titanignore, else .gitignore
 *     cache.ts     where a worker keeps what it has unpacked, and when it lets go
 *
 * Test: test/11-worker.archive.test.ts
 */
export {
  ArchiveError,
  leftOutOf,
  MAX_PROJECT_BYTES,
  MAX_PROJECT_ENTRIES,
  packFiles,
  packProject,
  staysInside,
  unpackArchive,
} from "./archive.ts";
export { matchPath, parseIgnore } from "./ignore.ts";
export { ensureProject, holdProject, MAX_CACHED_PROJECTS, projectTree } from "./cache.ts";
