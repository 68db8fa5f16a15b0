/**
 * Lesson 10: the client, one method per request. It is thin on purpose: the meaning of a request is
 * written where the request is decided.
 *
 * Test: test/10-master.test.ts
 */
import { createHash } from "node:crypto";
import {
  checkMs, named, REQUEST_DEADLINE_MS, RunCalls, type ArtifactName, type Redial, type Session,
} from "#calls";
import {
  ArchiveError, packProject, SendQueue, type Ask as AskMaster, type Incoming, type Sent,
} from "#project";
import type { Host } from "#host";
import { RpcError, type RpcConnection } from "#rpc";
import type { Argument, Value } from "#store";
import {
  BLOB_CHUNK_BYTES, BlobHas, BlobPut, BlobRef, Empty, EncodedSubmit, FactsAsked,
  MAX_INLINE_SPEC_BYTES, Op, OutputPage, OutputRequest, PipelineSpec, Submitted, WatchRequest,
  type FactsPage, type OutputChunk, type RunInfo,
} from "#wire";
import {
  getArtifact, putArtifact, type ArtifactPlace, type ArtifactSource,
} from "./artifacts.ts";
import { askStore } from "./ask-store.ts";
import { checkedPipeline, type AnyPipeline } from "./builder.ts";
import { readEvents, readFacts, type ClusterEvent } from "./facts.ts";
import { followRun } from "./follow.ts";
import { openForwarding, type Forwarding, type ForwardOptions } from "./forward.ts";
import { projectNeed, type ProjectNeed } from "./project-need.ts";
import { toSpec } from "./spec.ts";
import { readWatch, type RunEvent } from "./watch.ts";

/** A watch or a followed log may be quiet for as long as a gate may be open, twice. */
const STREAM_DEADLINE_MS = 2 ** 31 - 1;

export interface SubmitOptions {
  /** Two submissions with one key are one run. */
  readonly key?: string | undefined;
  /** The person who submits it: gates may want somebody else to approve. */
  readonly by?: string | undefined;
  /** Refuse a job that no registered worker could run. */
  readonly strict?: boolean;
  /** The folder to ship with the pipeline. */
  readonly projectDir?: string | undefined;
  /**
   * The names of its services are names of the whole cluster. If a run has them already, the new
   * one takes its place once all services are READY: `run.update` of its status says how that goes.
   */
  readonly deploy?: boolean | undefined;
  /** How long that may take; after it the new run is cancelled. Default: two minutes. */
  readonly updateMs?: number | undefined;
}

export interface FollowOptions {
  /** The number of the first fact that is wanted. */
  readonly from?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface WaitOptions {
  /** Stop waiting after this long. Default: never. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Wait on while nothing but services is left. */
  readonly toEnd?: boolean | undefined;
  /** Is told of each change as it happens; the first event is the run as it stands. */
  readonly onEvent?: ((event: RunEvent) => void) | undefined;
}

/** A session with a master. Its methods may be called while others are under way. */
export class Client extends RunCalls {
  readonly #host: Host;
  readonly #redial: Redial;
  #session: Session;
  /** Set while a new session is being opened, for all that wait for it. */
  #opening: Promise<Client> | undefined;
  #left = false;
  readonly #sending = new SendQueue();
  /** Uploads under way, by hash: pieces of two uploads of one blob must not mix. */
  readonly #uploads = new Map<string, Promise<unknown>>();

  constructor(session: Session, options: { host: Host; redial: Redial }) {
    super();
    this.#session = session;
    this.#host = options.host;
    this.#redial = options.redial;
  }

  /** The master's version. */
  get version(): string {
    return this.#session.version;
  }

  get #connection(): RpcConnection {
    return this.#session.connection;
  }

  /** An open session keeps the process from ending, unless it is told not to. */
  keepAlive(on: boolean): void {
    this.#session.keepAlive(on);
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  #ask(opcode: number, body: Buffer): Promise<Buffer> {
    return this.#connection.request(opcode, body, { deadlineMs: REQUEST_DEADLINE_MS });
  }

  /** For lists that may be longer than a frame. */
  #pages(opcode: number, body = Empty.encode({})): AsyncIterable<Buffer> {
    return this.#connection.stream(opcode, body, { deadlineMs: REQUEST_DEADLINE_MS });
  }

  // #region submit
  /**
   * Submits a pipeline. Once this resolves the run survives any crash; before that, submit again
   * with the same `key`.
   */
  async submit(
    pipeline: AnyPipeline,
    options: SubmitOptions = {},
  ): Promise<Submitted> {
    const definition = checkedPipeline(pipeline);
    const folder = options.projectDir;
    if (folder !== undefined && typeof folder !== "string") {
      throw new TypeError(`Cannot submit: projectDir must be a path, found ${named(folder)}`);
    }
    const need = folder && (await projectNeed(this.#host, definition, folder));
    const project = need ? await this.#shipProject(folder, need) : undefined;
    return this.submitSpec(toSpec(definition, { project, deploy: options.deploy }), options);
  }
  // #endregion

  /** Submits a pipeline that is already in the form of the wire. */
  async submitSpec(spec: PipelineSpec, options: SubmitOptions = {}): Promise<Submitted> {
    // On the wire an empty one is none: two submissions with it would be two runs.
    if (options.key === "") throw new TypeError('Cannot submit: found key "", leave it out');
    const encoded = PipelineSpec.encode(spec);
    const isSmall = encoded.length <= MAX_INLINE_SPEC_BYTES;
    const body = EncodedSubmit.encode({
      spec: isSmall ? encoded : undefined,
      specBlob: isSmall ? undefined : await this.#putBlob(encoded),
      key: options.key,
      by: options.by,
      strict: options.strict ?? false,
      updateMs: options.updateMs,
    });
    return Submitted.decode(await this.#ask(Op.SUBMIT, body));
  }

  async #shipProject(folder: string, need: ProjectNeed): Promise<string> {
    // Packing a folder that does not exist would give an empty project.
    if ((await this.#host.storage.stat(folder))?.kind !== "directory") {
      throw new TypeError(`Cannot ship the project: projectDir ${folder} is no folder`);
    }
    const packed = await packProject(this.#host, folder).catch((error: unknown) => {
      if (!(error instanceof ArchiveError) || need.why === "written") throw error;
      const why = `It is shipped because job "${need.job}" names ${need.path}`;
      const text = `${error.message}\n${why}; "project: false" ships nothing.`;
      throw new ArchiveError(error.code, text);
    });
    return this.shipPacked(packed);
  }

  /** Uploads a packed project, unless the master has it. Resolves with its name in a spec. */
  async shipPacked({ bytes, hash }: { bytes: Buffer; hash: string }): Promise<string> {
    const { present } = BlobHas.decode(await this.#ask(Op.BLOB_HAS, BlobRef.encode({ hash })));
    if (!present) await this.#putBlob(bytes, hash);
    return hash;
  }

  /** Two submissions of one blob upload it twice, one after the other: the master counts both. */
  async #putBlob(bytes: Buffer, hash = sha256(bytes)): Promise<string> {
    const before = this.#uploads.get(hash) ?? Promise.resolve();
    const done = before.then(() => this.#sendBlob(bytes, hash));
    const settled = done.catch(() => undefined);
    this.#uploads.set(hash, settled);
    await done.finally(() => {
      if (this.#uploads.get(hash) === settled) this.#uploads.delete(hash);
    });
    return hash;
  }

  async #sendBlob(bytes: Buffer, hash: string): Promise<void> {
    for (let offset = 0; offset < bytes.length; offset += BLOB_CHUNK_BYTES) {
      const data = bytes.subarray(offset, offset + BLOB_CHUNK_BYTES);
      await this.#ask(Op.BLOB_PUT, BlobPut.encode({ hash, total: bytes.length, offset, data }));
    }
  }

  /** The events of a run until it ends. Stop early by leaving the loop. */
  watch(run: string, options: { signal?: AbortSignal | undefined } = {}): AsyncGenerator<RunEvent> {
    const patience = { deadlineMs: STREAM_DEADLINE_MS };
    const wish = WatchRequest.encode({ run, grows: true });
    const stream = this.#connection.stream(Op.WATCH, wish, patience);
    return readWatch(stream, options.signal);
  }

  /**
   * What happens in the cluster, fact by fact as the log has them, for ever: from number `from` on
   * (0: from the beginning) or (default) from now on. Stop by leaving the loop. It fails with the
   * connection: go on with the number after the last one.
   */
  events(options: FollowOptions = {}): AsyncGenerator<ClusterEvent> {
    return readEvents(this.facts(options));
  }

  /**
   * The same as pages, with the runs and jobs that look different after each. `details` false: what
   * happens to single attempts and steps may come without its text, which costs the master less.
   */
  facts(
    { from, signal, details = true }: FollowOptions & { details?: boolean } = {},
  ): AsyncGenerator<FactsPage> {
    const patience = { deadlineMs: STREAM_DEADLINE_MS };
    const wish = FactsAsked.encode({ from, details });
    return readFacts(this.#connection.stream(Op.FACTS, wish, patience), signal);
  }

  /**
   * Waits for the end of a run, good or bad: look at `status`. A run that is SERVING has only
   * services left, which go on until somebody stops them: the wait ends there, too, unless `toEnd`
   * is set. A connection that breaks and a master that restarts do not end the wait; a master that
   * stays away for 30 s does.
   *
   * @throws {RpcError} NOT_FOUND (no such run), DEADLINE (not over in time; the run goes on)
   * @throws {ConnectError} the master stays away
   * @throws {TypeError} `timeoutMs` is no number of milliseconds
   * @throws the signal's reason
   */
  async wait(run: string, options: WaitOptions = {}): Promise<RunInfo> {
    const { timeoutMs } = options;
    if (timeoutMs !== undefined) checkMs("Cannot wait for a run: timeoutMs", timeoutMs);
    const late = new AbortController();
    const why = `Cannot wait for ${run} any longer: it is not over after ${timeoutMs} ms`;
    const timer = timeoutMs === undefined
      ? undefined
      : this.#host.timers.after(timeoutMs, () => late.abort(new RpcError("DEADLINE", why)));
    const signals = options.signal === undefined ? [late.signal] : [options.signal, late.signal];
    const signal = AbortSignal.any(signals);
    let last: RunInfo | undefined;
    try {
      const redial = (): Promise<Client> => this.#reopen();
      const { toEnd } = options;
      const news = followRun({ client: this, redial, run, signal, host: this.#host, toEnd });
      for await (const event of news) {
        if (event.type !== "job") last = event.run;
        options.onEvent?.(event);
      }
    } finally {
      timer?.cancel();
    }
    return last!;
  }

  /**
   * Submits a pipeline and waits for its end, good or bad: look at `status`. The same options as
   * for `submit` and `wait`, and the same errors.
   */
  async run(
    pipeline: AnyPipeline, options: SubmitOptions & WaitOptions = {},
  ): Promise<RunInfo> {
    const { run } = await this.submit(pipeline, options);
    return this.wait(run, options);
  }

  /** One new session for all whose watch broke, in place of the old one. */
  async #reopen(): Promise<Client> {
    if (this.#left) throw new RpcError("CANCELLED", "Cannot go on: this client was closed");
    if (!this.closed) return this;
    return (this.#opening ??= this.#replace().finally(() => (this.#opening = undefined)));
  }

  async #replace(): Promise<Client> {
    this.#session = await this.#redial();
    if (this.#left) this.#connection.close();
    return this;
  }

  /**
   * The output of a job. With `follow`, also the output to come, until the job ends. `lastBytes`:
   * about so many at the end of what there is, and a few more. `from`: what is behind so many
   * bytes, and a few before it; a first chunk without data has as `dropped` how many are left out.
   */
  async *logs(
    run: string,
    job: string,
    options: {
      attempt?: number; follow?: boolean; lastBytes?: number; from?: number | undefined;
      signal?: AbortSignal | undefined;
    } = {},
  ): AsyncGenerator<OutputChunk> {
    const { attempt = 0, follow = false, lastBytes, from, signal } = options;
    const request = OutputRequest.encode({ run, job, attempt, follow, lastBytes, from });
    const pages = this.#connection.stream(Op.LOGS, request, { deadlineMs: STREAM_DEADLINE_MS });
    const leave = (): void => pages.cancel();
    if (signal?.aborted) leave();
    signal?.addEventListener("abort", leave, { once: true });
    try {
      for await (const body of pages) yield* OutputPage.decode(body).chunks;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  /** A request that has no method of its own here: see calls.ts and job-requests.ts. */
  request(opcode: number, body: Buffer): Promise<Buffer> {
    return this.#ask(opcode, body);
  }

  /** The same, with an answer in parts. */
  parts(opcode: number, body?: Buffer): AsyncIterable<Buffer> {
    return this.#pages(opcode, body);
  }

  /**
   * Opens a port of this machine whose connections go to a READY replica of a service, through the
   * master (docs/services.md). Named as for `stop`. It has a session of its own, and goes on when
   * this client is closed.
   *
   * @throws {RpcError} NOT_FOUND (no such service), CONFLICT (more than one is meant)
   * @throws {ConnectError} the master does not answer
   * @throws the system's error when the port cannot be had
   */
  async forward(service: string, options: ForwardOptions = {}): Promise<Forwarding> {
    return openForwarding(service, { ...options, host: this.#host, redial: this.#redial });
  }

  /**
   * Keeps bytes under a name: in a run, or (`keep`) by the name alone. Resolves once that survives
   * any crash, with what had the name before, if anything had.
   *
   * @throws {RpcError} CONFLICT (the run or the attempt is over, or there is no room), INVALID (the
   *   name, or bytes that have changed under way), NOT_FOUND (no such run)
   */
  putArtifact(name: string, source: ArtifactSource, place: ArtifactPlace): Promise<Sent> {
    const ask: AskMaster = (opcode, body) => this.#ask(opcode, body);
    return this.#sending.run(() => putArtifact(this.#host, ask, { name, source, place }));
  }

  /**
   * What it is, and its bytes as they come. Read to the end without an error, they are what was
   * put.
   *
   * @throws {RpcError} NOT_FOUND
   */
  getArtifact(name: string, from: ArtifactName = {}): Promise<Incoming> {
    const patience = { deadlineMs: STREAM_DEADLINE_MS };
    const stream = (opcode: number, body: Buffer): AsyncIterable<Buffer> =>
      this.#connection.stream(opcode, body, patience);
    return getArtifact(stream, name, from);
  }

  /**
   * Asks the cluster's store through the master: `await titan.kv("INCR", "visits")`. Text goes out
   * and comes back as UTF-8. For more than a few commands a second, connect to the store itself
   * (`connectStore`).
   *
   * @throws {StoreError} the store's error; REFUSED for a command that may not pass, UNREACHABLE
   *   and LOST when the store is gone
   * @throws {RpcError} NOT_FOUND (this cluster has no store), TOO_LARGE (beyond MAX_KV_BYTES,
   *   either way)
   */
  kv(...args: readonly [string, ...Argument[]]): Promise<Value> {
    return askStore((opcode, body) => this.#ask(opcode, body), args);
  }

  /** The same for binary values: a string of the store comes as a Buffer. */
  kvBuffers(...args: readonly [string, ...Argument[]]): Promise<Value> {
    return askStore((opcode, body) => this.#ask(opcode, body), args, { buffers: true });
  }

  close(): void {
    this.#left = true;
    this.#connection.close();
  }

  /** `await using titan = await connect()` closes it at the end of the block. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
