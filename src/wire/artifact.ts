/**
 * Lesson 11: artifacts as they travel: files that a run hands on, or that live by a name.
 *
 *     ARTIFACT_PUT   a piece at a time, some of them under way at once; each has its answer
 *         first piece   who puts what: refused here, before a byte is kept, if it can be
 *         last piece    the SHA-256 of all of it: kept only if it is what has come
 *     ARTIFACT_GET   a stream: what it is, then its bytes
 *
 * The sender need not know the hash, or the size, before the end: a pipe has neither.
 *
 * Test: test/10-master.artifacts.test.ts
 */
import {
  bool, bytes, list, message, optional, string, u32, u53, withDefault, type Infer,
} from "#codec";
import { MAX_ROWS, name } from "./fields.ts";
import { BLOB_CHUNK_BYTES, MAX_ARTIFACT_NAME_BYTES, MAX_ARTIFACT_PATH_BYTES } from "./limits.ts";

/** A name, or JOB/PATH. */
const artifactName = string(MAX_ARTIFACT_PATH_BYTES);
const sha256 = string(64);

/** What the log keeps of one: without its run, which is told beside it. */
export const artifactFacts = {
  name: [1, artifactName],
  sha256: [2, sha256],
  size: [3, u53()],
  at: [4, u53()],
  /** The run, job and attempt that have made it, as far as anybody said. */
  byRun: [5, withDefault(name, "")],
  byJob: [6, withDefault(string(128), "")],
  byAttempt: [7, withDefault(u32(), 0)],
  /** The person who has put it, if it was one. */
  by: [8, withDefault(name, "")],
} as const;

/** One as people see it. `run` empty: it is kept by its name, and belongs to no run. */
export const ArtifactInfo = message("ArtifactInfo", {
  ...artifactFacts,
  run: [20, withDefault(name, "")],
});
export type ArtifactInfo = Infer<typeof ArtifactInfo>;

/** The wish to put one. */
export const ArtifactHead = message("ArtifactHead", {
  name: [1, artifactName],
  /** Without `keep` it belongs to this run. */
  run: [2, optional(name)],
  /** The job that puts it, and its attempt, which has to run. */
  job: [3, optional(string(128))],
  attempt: [4, optional(u32())],
  keep: [5, withDefault(bool(), false)],
  by: [6, withDefault(name, "")],
  /** If it is known: refused at once if it is too large. */
  size: [7, optional(u53())],
  /** From a worker: `name` is a path that the job declares in `outputs`. */
  output: [8, withDefault(bool(), false)],
});
export type ArtifactHead = Infer<typeof ArtifactHead>;

export const ArtifactPut = message("ArtifactPut", {
  /** Tells apart the uploads of one connection. */
  upload: [1, u32()],
  offset: [2, u53()],
  head: [4, optional(ArtifactHead)],
  /** Comes with the last piece; with the first one, if it is known: what is there is not sent. */
  sha256: [5, optional(sha256)],
  last: [6, withDefault(bool(), false)],
  /** Behind all others: `pieceWith`. */
  data: [100, bytes(BLOB_CHUNK_BYTES)],
});
/** Of a piece beside its data: three numbers, tags and lengths. */
const PIECE_BYTES = 64;

/** Memory for the bodies of one upload's pieces, each of which is used again after its answer. */
export function pieceMemory(): Buffer {
  return Buffer.allocUnsafeSlow(PIECE_BYTES + BLOB_CHUNK_BYTES);
}

/**
 * A piece in the middle, as `ArtifactPut.encode` makes it, in memory of the caller's. A gigabyte of
 * bodies that are allocated is collected late: it costs 60 MB more.
 */
export function pieceWith(
  into: Buffer, { upload, offset, data }: { upload: number; offset: number; data: Buffer },
): Buffer {
  const bare = ArtifactPut.encode({ upload, offset, last: false, data: NO_DATA });
  // Its last bytes are the length of the data, 0, and the end of the message, 0 as well.
  let at = bare.copy(into, 0, 0, bare.length - 2);
  for (let rest = data.length; ; rest >>>= 7) {
    into[at++] = rest > 0x7f ? (rest & 0x7f) | 0x80 : rest;
    if (rest <= 0x7f) break;
  }
  at += data.copy(into, at);
  into[at++] = 0;
  return into.subarray(0, at);
}

const NO_DATA = Buffer.alloc(0);

export const ArtifactPutAnswer = message("ArtifactPutAnswer", {
  /** It is there, checked and on the disk. Absent: the piece was taken. */
  done: [1, optional(ArtifactInfo)],
  /** What had its name before, and is gone. */
  replaced: [2, optional(ArtifactInfo)],
});
export type ArtifactPutAnswer = Infer<typeof ArtifactPutAnswer>;

/**
 * `run` empty: one that is kept by its name. With `orKept` it is looked for in the run first, and
 * then among those.
 */
export const ArtifactRef = message("ArtifactRef", {
  name: [1, artifactName],
  run: [2, withDefault(name, "")],
  orKept: [3, withDefault(bool(), false)],
});
export type ArtifactRef = Infer<typeof ArtifactRef>;
/** What ARTIFACT_GET streams: the first item has `info`, the others have bytes. */
export const ArtifactItem = message("ArtifactItem", {
  info: [1, optional(ArtifactInfo)],
  data: [2, bytes(BLOB_CHUNK_BYTES)],
});

/** Of this run, or without one: all. `kept`: only those that belong to no run. */
export const ArtifactsAsked = message("ArtifactsAsked", {
  run: [1, optional(name)],
  kept: [2, withDefault(bool(), false)],
});
/** A stream of pages. */
export const ArtifactPage = message("ArtifactPage", {
  artifacts: [1, list(ArtifactInfo, MAX_ROWS)],
});

/**
 * REMOVE_ARTIFACTS: the one of `ref`, or without it those of runs that ended so long ago, and with
 * `kept` those that were kept as long.
 */
export const RemoveArtifacts = message("RemoveArtifacts", {
  ref: [1, optional(ArtifactRef)],
  olderMs: [2, withDefault(u53(), 0)],
  kept: [3, withDefault(bool(), false)],
  dryRun: [4, withDefault(bool(), false)],
  by: [5, withDefault(name, "")],
});
export const ArtifactsRemoved = message("ArtifactsRemoved", {
  artifacts: [1, list(ArtifactInfo, MAX_ROWS)],
  /** There are more: ask again. */
  more: [2, withDefault(bool(), false)],
  /** What this has freed on the master's disk: some bytes may be those of others, too. */
  freedBytes: [3, u53()],
  /** What is left, and the most that there may be. */
  usedBytes: [4, u53()],
  maxBytes: [5, u53()],
});
export type ArtifactsRemoved = Infer<typeof ArtifactsRemoved>;

// ── declared files of jobs ───────────────────────────────────────────────────────────────────────

/** A file of another job of the run, which is laid out before this job starts. */
export const JobInput = message("JobInput", {
  /** Its place in the list of jobs. */
  job: [1, u32()],
  path: [2, string(MAX_ARTIFACT_PATH_BYTES)],
  /** Where it is laid out. Default: at `path`. */
  to: [3, optional(string(MAX_ARTIFACT_PATH_BYTES))],
});
export type JobInput = Infer<typeof JobInput>;
/** Files of one job, of either kind. */
export const MAX_JOB_FILES = 1000;
/** Paths in the folder of the job: relative, with `/`. */
export const JobFiles = message("JobFiles", {
  outputs: [1, list(string(MAX_ARTIFACT_PATH_BYTES), MAX_JOB_FILES)],
  inputs: [2, list(JobInput, MAX_JOB_FILES)],
});
export type JobFiles = Infer<typeof JobFiles>;

/** The same for a worker: it fetches what it has not got, by name, and checks the hash. */
export const AssignedInput = message("AssignedInput", {
  name: [1, artifactName],
  sha256: [2, sha256],
  size: [3, u53()],
  to: [4, string(MAX_ARTIFACT_PATH_BYTES)],
});
export type AssignedInput = Infer<typeof AssignedInput>;
export const AssignedFiles = message("AssignedFiles", {
  outputs: [1, list(string(MAX_ARTIFACT_PATH_BYTES), MAX_JOB_FILES)],
  inputs: [2, list(AssignedInput, MAX_JOB_FILES)],
});
export type AssignedFiles = Infer<typeof AssignedFiles>;

/** Why an artifact cannot have this name; undefined if it can. */
export function artifactNameProblem(text: string): string | undefined {
  if (text === "") return "it is empty";
  if (Buffer.byteLength(text) > MAX_ARTIFACT_NAME_BYTES) {
    return `it is longer than ${MAX_ARTIFACT_NAME_BYTES} bytes`;
  }
  if (text.includes("/")) return 'it has a "/", which only outputs of jobs have (JOB/PATH)';
  if (text === "." || text === "..") return "it would be a folder";
  return /\p{Cc}/u.test(text) ? "it has a control character" : undefined;
}

/** As an id of 128 characters and a slash may stand before it. */
const MAX_OUTPUT_PATH_BYTES = MAX_ARTIFACT_PATH_BYTES - 129;

/** Why a job cannot have a file at this path of its folder; undefined if it can. */
export function jobPathProblem(path: string): string | undefined {
  if (path === "") return "it is empty";
  if (path.startsWith("/")) return "it must be relative, to the folder of the job";
  if (Buffer.byteLength(path) > MAX_OUTPUT_PATH_BYTES) {
    return `it is longer than ${MAX_OUTPUT_PATH_BYTES} bytes`;
  }
  if (/\p{Cc}/u.test(path)) return "it has a control character";
  const bad = path.split("/").find((part) => part === "" || part === "." || part === "..");
  if (bad !== undefined) return `it has the part ${JSON.stringify(bad)}`;
  return undefined;
}
