/**
 * Lesson 11: the folders of projects on a worker: fetched from the master by their hashes, unpacked
 * once, and kept between jobs (#project).
 *
 * Test: test/11-worker.test.ts
 */
import type { LocalExecutor } from "#exec";
import type { Host } from "#host";
import { ensureProject } from "#project";
import { BlobChunk, BlobRef, Op } from "#wire";
import type { MasterLink } from "./link.ts";

export interface WorkerProjectsOptions {
  readonly host: Host;
  readonly cacheDir: string;
  readonly executor: Partial<Pick<LocalExecutor, "linkPackage">>;
  readonly link: MasterLink;
  readonly onNote: (text: string) => void;
}

export class WorkerProjects {
  readonly #options: WorkerProjectsOptions;
  /** Settles when programs may import "titan/store". */
  #linking: Promise<void> | undefined;
  /** They may, or never will: nobody has to wait. */
  isLinked: boolean;

  constructor(options: WorkerProjectsOptions) {
    this.#options = options;
    this.isLinked = options.executor.linkPackage === undefined;
  }

  /** The folder of this project, which is not to be changed. */
  folder(hash: string): Promise<string> {
    const { host, cacheDir, onNote } = this.#options;
    const bytes = (): Promise<Buffer> => this.#bytes(hash);
    return ensureProject(host, cacheDir, hash, bytes, { onNote })
      .catch((error: Error) => {
        throw new Error(`Cannot fetch the project: ${error.message}`);
      });
  }

  /** Before the first program: a script without a project may import the package, too. */
  link(): Promise<void> {
    return (this.#linking ??= this.#linkPackage().finally(() => { this.isLinked = true; }));
  }

  /** A failure here is only noted: few jobs need the link, and the others must not fail for it. */
  async #linkPackage(): Promise<void> {
    const { executor, cacheDir, onNote } = this.#options;
    await executor
      .linkPackage?.(cacheDir)
      .catch((error: Error) => onNote(`titan/store cannot be imported by jobs: ${error.message}`));
  }

  async #bytes(hash: string): Promise<Buffer> {
    const chunks = await this.#options.link.collect(Op.BLOB_GET, BlobRef.encode({ hash }));
    return Buffer.concat(chunks.map((chunk) => BlobChunk.decode(chunk).data));
  }
}
