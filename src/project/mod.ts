/**
 * Lesson 11: a project is a folder that travels. `packProject` makes one file of it, which is known
 * by its hash; `ensureProject` unpacks it on a worker, once for all jobs that need it.
 *
 *     archive.ts   a folder as bytes, and back; nothing escapes the folder it is unpacked into
 *     pack.ts      which files go into it
 *     ignore.ts    what stays out of it: .titanignore, else .gitignore
 *     input-cache.ts  files that jobs are given, by their hashes
 *     send.ts      bytes that become an artifact of the master's; receive.ts the way back
 *     cache.ts     where a worker keeps what it has unpacked, and when it lets go
 *
 * Test: test/11-worker.archive.test.ts
 */
export {
  ArchiveError, MAX_PROJECT_BYTES, MAX_PROJECT_ENTRIES, staysInside, unpackArchive,
} from "./archive.ts";
export { leftOutOf, packFiles, packProject } from "./pack.ts";
export { InputCache, type Wanted } from "./input-cache.ts";
export { receiveArtifact, type Incoming } from "./receive.ts";
export {
  fileBytes, hashFile, sendArtifact, SendQueue, type Ask, type Outgoing, type Sent,
} from "./send.ts";
export { matchPath, parseIgnore } from "./ignore.ts";
export { ensureProject, holdProject, MAX_CACHED_PROJECTS, projectTree } from "./cache.ts";
