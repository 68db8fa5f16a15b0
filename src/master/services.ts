/**
 * Lesson 10: what the parts of a running master share. `master.ts` makes it once; a session and its
 * handlers use it.
 *
 * Test: test/10-master.test.ts
 */
import type { Host } from "#host";
import type { IncomingRequest, RpcConnection } from "#rpc";
import type { AttemptKey, JobScope } from "#wire";
import type { ArtifactUploads } from "./artifact-uploads.ts";
import type { BlobStore } from "./blobs.ts";
import type { Doors } from "./doors.ts";
import type { Engine } from "./engine.ts";
import type { OnOlderPeer } from "./first-byte.ts";
import type { Facts } from "./facts.ts";
import type { Fleet } from "./fleet.ts";
import type { Forwards } from "./forward.ts";
import type { MasterStore, StoreDesk } from "./kv.ts";
import type { Notices } from "./notices.ts";
import type { OutputStore } from "./output.ts";
import type { PastDesk } from "./past-desk.ts";
import type { Turns } from "./turns.ts";
import type { Uploads } from "./uploads.ts";
import type { Watchers } from "./watch.ts";
import type { WorkerLink, Workers } from "./workers.ts";

/** What the sessions share. */
export interface Services {
  readonly host: Host;
  readonly dir: string;
  readonly token: string | undefined;
  /** Of the cluster: the credentials of jobs are made from it. */
  readonly secret: Buffer;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly engine: Engine;
  readonly workers: Workers;
  readonly watchers: Watchers;
  /** Those who follow the whole log. */
  readonly facts: Facts;
  /** Those who look back. */
  readonly past: PastDesk;
  readonly forwards: Forwards;
  readonly output: OutputStore;
  readonly blobs: BlobStore;
  readonly notices: Notices;
  readonly doors: Doors;
  /** Workers of pools. */
  readonly fleet: Fleet;
  /** Of long answers, and of pipelines that are read from blobs. */
  readonly turns: Turns;
  readonly specs: Turns;
  /** What the pipelines take in memory that wait for a look at the disk. */
  readonly arriving: { bytes: number };
  readonly store: MasterStore | undefined;
  readonly cluster: string | undefined;
  readonly desk: StoreDesk;
  readonly onOlderPeer: OnOlderPeer | undefined;
  /**
   * Output came for an attempt that is over, or it is over now: nothing stays open, and what was
   * lost becomes a fact.
   */
  attemptOver(key: AttemptKey): void;
  /** A bug of ours, or a log that cannot be written: stops everything. */
  fatal(error: Error): void;
  /** Set once the master is on its way out: what arrives then is not served any more. */
  stopped: boolean;
}

/** The peer that asks, as far as a handler may know its session. */
export interface Peer {
  readonly connection: RpcConnection;
  readonly uploads: Uploads;
  readonly artifacts: ArtifactUploads;
  /** Undefined: it is no worker. */
  readonly link: WorkerLink | undefined;
  /** It is a job that has come with its own credential. Undefined: a person, or a worker. */
  readonly scope: JobScope | undefined;
  /** A list that has to be sorted exists as a whole: of these a peer has one at a time. */
  alone(work: () => Promise<void>): Promise<void>;
}

export type Handler = (
  services: Services, request: IncomingRequest, peer: Peer,
) => void | Promise<void>;
