/**
 * Lesson 11: files that a job is given before it starts, and files that it hands on after a
 * success. The master keeps them as artifacts of the run.
 *
 *     dispatch ─▶ inputs into the cache ─▶ folder ─▶ inputs laid out ─▶ program … exit 0
 *                                                    ─▶ outputs sent ─▶ folder removed ─▶ report
 *
 * Invariants: a success is reported once all its outputs are durable at the master; an attempt
 * that ends only to wait hands on nothing; uploads of one worker are as many at once as the master
 * takes.
 * Test: test/11-worker.artifacts.test.ts
 */
import { join } from "node:path";
import type { ExecRequest } from "#exec";
import { fileReason, type Host } from "#host";
import {
  fileBytes, hashFile, InputCache, receiveArtifact, sendArtifact, SendQueue, type Wanted,
} from "#project";
import { RpcError, type RpcConnection } from "#rpc";
import {
  ArtifactRef, AttemptKey, Op, Pausing, type ArtifactHead, type AssignedFiles, type AssignedInput,
  type Assignment, type FailureKind,
} from "#wire";

/** A piece waits for the master's disk, which may be slow. */
const PIECE_DEADLINE_MS = 60_000;

export interface WorkerFilesOptions {
  readonly host: Host;
  readonly cacheDir: string;
  /** Does something over one connection to the master, and again over the next one if it breaks. */
  insist<T>(work: (connection: RpcConnection) => Promise<T>): Promise<T>;
}

interface FileTrouble {
  readonly kind: FailureKind;
  readonly message: string;
}

/** The folder of an attempt, until nobody wants it any more. */
interface Place {
  readonly folder: string;
  readonly signal: AbortSignal;
}

/** An attempt, as far as its files go. */
interface Owner {
  readonly assignment: Assignment;
  readonly cancelled: boolean;
}

export class WorkerFiles {
  readonly #options: WorkerFilesOptions;
  readonly #cache: InputCache;
  readonly #queue = new SendQueue();

  constructor(options: WorkerFilesOptions) {
    this.#options = options;
    this.#cache = new InputCache(options.host, options.cacheDir);
  }

  /** What an executor does with them. */
  hooks(owner: Owner, files: AssignedFiles): Pick<ExecRequest, "prepare" | "collect"> {
    const { inputs, outputs } = files;
    return {
      ...(inputs.length > 0 && {
        prepare: (folder, signal) => this.#layOut(owner, inputs, { folder, signal }),
      }),
      ...(outputs.length > 0 && {
        collect: (folder, signal) => this.#collect(owner, outputs, { folder, signal }),
      }),
    };
  }

  /** Before its time counts: its inputs are on this machine. */
  async fetch(owner: Owner, { inputs }: AssignedFiles): Promise<void> {
    for (const input of inputs) {
      await this.#each(input, () => this.#cache.ensure(this.#wanted(owner, input)));
    }
  }

  async #layOut(owner: Owner, inputs: readonly AssignedInput[], place: Place): Promise<void> {
    for (const input of inputs) {
      const wanted = { ...this.#wanted(owner, input), stopped: () => place.signal.aborted };
      await this.#each(input, () => this.#cache.copyTo(join(place.folder, input.to), wanted));
    }
  }

  async #each({ name }: AssignedInput, work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) => {
      throw new Error(`its input ${name} cannot be had: ${fileReason(error)}`);
    });
  }

  #wanted(owner: Owner, { name, sha256 }: AssignedInput): Wanted {
    const { runId: run } = owner.assignment;
    const body = ArtifactRef.encode({ name, run, orKept: false });
    return {
      sha256,
      stopped: () => owner.cancelled,
      fetch: (into) =>
        this.#options.insist(async (connection) => {
          const items = connection.stream(Op.ARTIFACT_GET, body);
          const { info, bytes } = await receiveArtifact(items, { isLent: true });
          if (info.sha256 === sha256) return into(bytes);
          await bytes.return();
          const found = `job "${info.byJob}" has made it anew meanwhile`;
          throw new RpcError("CONFLICT", `Cannot use artifact ${name}: ${found}`);
        }),
    };
  }

  /**
   * The attempt has ended only to wait (lesson 18): what it hands on will be there when a later one
   * has completed. The program has told the master, and nobody else knows.
   */
  async #isPausing({ run, job, attempt }: Assignment): Promise<boolean> {
    const key = AttemptKey.encode({ run, job, attempt });
    try {
      const ask = (connection: RpcConnection) => connection.request(Op.PAUSING, key);
      return Pausing.decode(await this.#options.insist(ask)).pausing;
    } catch {
      return false; // an older master; or we stop, and then nothing is collected either
    }
  }

  /** Sends what its program has left. Resolves with the reason if it cannot. */
  async #collect(
    { assignment }: Owner, paths: readonly string[], { folder, signal }: Place,
  ): Promise<FileTrouble | undefined> {
    if (await this.#isPausing(assignment)) return undefined;
    for (const path of paths) {
      const file = join(folder, path);
      const found = await this.#options.host.storage.stat(file).catch(() => undefined);
      if (found?.kind !== "file") {
        const why = found === undefined ? "it did not make this file" : "it is no file";
        return { kind: "bad-input", message: `Cannot hand on its output ${path}: ${why}` };
      }
      try {
        await this.#send(assignment, { path, file, signal });
      } catch (error) {
        return { kind: "internal", message: `Cannot hand on its output ${path}: ${told(error)}` };
      }
    }
    return undefined;
  }

  async #send(
    { runId: run, jobId: job, attempt }: Assignment,
    { path, file, signal }: { path: string; file: string; signal: AbortSignal },
  ): Promise<void> {
    const { host, insist } = this.#options;
    const { size, sha256 } = await hashFile(host, file);
    const head: ArtifactHead = {
      name: path,
      run,
      job,
      attempt,
      keep: false,
      by: "",
      size,
      output: true,
    };
    async function* bytes(): AsyncGenerator<Buffer> {
      for await (const piece of fileBytes(host, file)) {
        if (signal.aborted) throw new RpcError("CANCELLED", "it was stopped");
        yield piece;
      }
    }
    await this.#queue.run(() =>
      insist((connection) =>
        sendArtifact(
          (opcode, body) => connection.request(opcode, body, { deadlineMs: PIECE_DEADLINE_MS }),
          { head, sha256, bytes: bytes() },
        ),
      ),
    );
  }

  close(): Promise<void> {
    return this.#cache.close();
  }
}

/** The master's sentence begins with what we say ourselves. */
function told(error: unknown): string {
  return fileReason(error).replace(/^Cannot put artifact "(?:[^"\\]|\\.)*":? /, "");
}
