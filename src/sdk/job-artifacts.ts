/**
 * Lesson 11, from inside a job: files that it hands on with its run, or keeps by a name.
 *
 * Invariants: a put is made again when the master was away, if its source can be read again; bytes
 * that are being read keep the process from ending.
 * Test: test/18-agents.artifacts.test.ts
 */
import type { Incoming, Sent } from "#project";
import type { ArtifactInfo, ArtifactsRemoved } from "#wire";
import type { ArtifactSource } from "./artifacts.ts";
import type { Client } from "./client.ts";

/** With `keep` it lives by its name, else in the job's run. */
export interface KeepOption {
  readonly keep?: boolean;
}

/** What `job.artifact` can do. */
export interface JobArtifacts {
  /** Resolves once it survives any crash, with what had its name before. */
  put(name: string, source: ArtifactSource, options?: KeepOption): Promise<Sent>;
  /**
   * What it is, and its bytes as they come: of this run, or else (or with `keep`) a kept one.
   * `outputs` of the jobs before this one are called JOB/PATH.
   */
  get(name: string, options?: KeepOption): Promise<Incoming>;
  list(options?: KeepOption): Promise<ArtifactInfo[]>;
  /** Of this run. */
  rm(name: string): Promise<ArtifactsRemoved>;
}

export interface ArtifactDoor {
  readonly run: string;
  readonly job: string;
  readonly attempt: number;
  /** A request, made again for as long as the master may be away. */
  ask<T>(request: (client: Client) => Promise<T>): Promise<T>;
  /** Runs what the process must not end in the middle of. */
  hold<T>(work: () => Promise<T>): Promise<T>;
}

/** `door` is asked for when it is used: a program that is no job has none. */
export function jobArtifacts(door: () => ArtifactDoor): JobArtifacts {
  return {
    put: async (name, source, { keep = false } = {}) => {
      const { ask, run, job, attempt } = door();
      const bytes = again(source);
      // The run of one that is kept is where it comes from.
      return ask((client) => client.putArtifact(name, bytes(), { keep, run, job, attempt }));
    },
    get: async (name, { keep = false } = {}) => {
      const { ask, hold, run } = door();
      const from = keep ? {} : { run, orKept: true };
      const { info, bytes } = await ask((client) => client.getArtifact(name, from));
      return { info, bytes: held(bytes, hold) };
    },
    list: async ({ keep = false } = {}) => {
      const { ask, run } = door();
      return ask((client) => client.artifacts(keep ? { kept: true } : { run }));
    },
    rm: async (name) => {
      const { ask, run } = door();
      return ask((client) => client.removeArtifact(name, { run }));
    },
  };
}

/** The source, for each time that it is sent. What came by itself comes once. */
function again(source: ArtifactSource): () => ArtifactSource {
  const comes = typeof source === "object" && Symbol.asyncIterator in source;
  let times = 0;
  return () => {
    times += 1;
    if (!comes || times === 1) return source;
    const why = "the connection broke, and its source cannot be read again";
    throw new TypeError(`Cannot put artifact: ${why}`);
  };
}

/** No generator of its own: the `return` of one that has not begun would not reach the stream. */
function held(bytes: Incoming["bytes"], hold: ArtifactDoor["hold"]): Incoming["bytes"] {
  const own: Incoming["bytes"] = {
    next: () => hold(() => bytes.next()),
    return: () => bytes.return(),
    throw: (error) => bytes.throw(error),
    [Symbol.asyncIterator]: () => own,
  };
  return own;
}
