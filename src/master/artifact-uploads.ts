/**
 * Lesson 11: artifacts on their way to the master, of one connection.
 *
 *     first piece ─▶ may it be put at all? ─▶ room on the disk ─▶ pieces … ─▶ last piece
 *         ─▶ is it the hash that the sender says? ─▶ blob in place ─▶ ArtifactPut durable ─▶ done
 *
 * The disk is asked for in portions, before it is used: uploads that are under way count as if they
 * were there already, so that all together stay within what artifacts may take.
 *
 * Invariants: pieces of one upload are taken in order; whatever ends an upload before its last
 * answer, its file is removed and its portion given back; while it goes on, an upload holds nothing
 * of the disk that it has not asked for.
 * Test: test/10-master.artifacts.test.ts
 */
import { checkArtifact, type ArtifactWish } from "#core";
import { fileReason } from "#host";
import { RpcError } from "#rpc";
import {
  ArtifactPut, MAX_ARTIFACT_BYTES, MAX_ARTIFACT_UPLOADS, type ArtifactPutAnswer,
} from "#wire";
import type { BlobFile } from "./blob-file.ts";
import type { BlobStore } from "./blobs.ts";
import type { Engine } from "./engine.ts";

/** What the uploads of all connections share. */
export interface ArtifactDesk {
  readonly engine: Pick<
    Engine, "state" | "context" | "commit" | "confirm" | "whenDurable" | "checkRoom"
  >;
  readonly blobs: BlobStore;
}

interface Upload {
  readonly id: number;
  readonly wish: ArtifactWish;
  readonly doing: string;
  file: BlobFile | undefined;
  /** Of the disk: what it has asked for. */
  portion: number;
  /** Pieces are chained. Never rejects. */
  queue: Promise<unknown>;
}

type Piece = ReturnType<typeof ArtifactPut.decode>;

const TAKEN: ArtifactPutAnswer = { done: undefined, replaced: undefined };

export class ArtifactUploads {
  readonly #desk: ArtifactDesk;
  readonly #open = new Map<number, Upload>();

  constructor(desk: ArtifactDesk) {
    this.#desk = desk;
  }

  /** Takes the next piece. `worker`: the one that sends it, if it is one. */
  async put(piece: Piece, worker: number | undefined): Promise<ArtifactPutAnswer> {
    const known = this.#open.get(piece.upload);
    const upload = piece.head === undefined ? known : this.#begin(piece, worker);
    if (upload === undefined) {
      const found = `no upload ${piece.upload} is under way on this connection`;
      throw new RpcError("CONFLICT", `Cannot put an artifact: ${found}`);
    }
    const done = upload.queue.then(() => this.#take(upload, piece));
    upload.queue = done.catch(() => undefined);
    return done;
  }

  #begin({ upload: id, head }: Piece, worker: number | undefined): Upload {
    const { output, ...wish } = head!;
    const doing = `put artifact ${JSON.stringify(wish.name)}`;
    if (this.#open.has(id) || this.#open.size >= MAX_ARTIFACT_UPLOADS) {
      const found = this.#open.has(id) ? `upload ${id} is` : `${MAX_ARTIFACT_UPLOADS} uploads are`;
      throw new RpcError("CONFLICT", `Cannot ${doing}: ${found} under way on this connection`);
    }
    if (output && worker === undefined) {
      throw new RpcError("CONFLICT", `Cannot ${doing}: only workers collect outputs`);
    }
    const meant = { ...wish, worker: output ? worker : undefined };
    const { state, context } = this.#desk.engine;
    checkArtifact(state, meant, context);
    const upload: Upload = {
      id, wish: meant, doing, file: undefined, portion: 0, queue: Promise.resolve(),
    };
    this.#open.set(id, upload);
    return upload;
  }

  async #take(upload: Upload, piece: Piece): Promise<ArtifactPutAnswer> {
    const { doing } = upload;
    try {
      if (this.#open.get(upload.id) !== upload) {
        throw new RpcError("CONFLICT", `Cannot ${doing}: its upload has ended`);
      }
      this.#desk.engine.checkRoom(doing);
      const known = await this.#holdKnown(upload, piece);
      if (known !== undefined) return await this.#finish(upload, piece.sha256!, known);
      const file = await this.#append(upload, piece);
      if (!piece.last) return TAKEN;
      checkWhole(upload, piece, file);
      this.#desk.blobs.hold(file.hash);
      return await this.#finish(upload, file.hash, file.bytes);
    } catch (error) {
      await this.#end(upload);
      throw explained(error, upload);
    }
  }

  /** If the first piece names a hash that is here: holds the blob, and says how large it is. */
  async #holdKnown({ wish }: Upload, { head, sha256 }: Piece): Promise<number | undefined> {
    if (head === undefined || sha256 === undefined) return undefined;
    const { engine, blobs } = this.#desk;
    const size = engine.state.contents.get(sha256)?.size;
    if (size === undefined || size !== wish.size) return undefined;
    blobs.hold(sha256); // first: the artifact that has it may go while we look
    if (await blobs.isThere(sha256)) return size;
    blobs.release(sha256); // its file was damaged
    return undefined;
  }

  async #append(upload: Upload, { offset, data }: Piece): Promise<BlobFile> {
    const { wish, doing } = upload;
    const { blobs } = this.#desk;
    const bytes = upload.file?.bytes ?? 0;
    if (offset !== bytes) {
      const found = `piece ${offset}+${data.length} does not follow byte ${bytes}`;
      throw new RpcError("CONFLICT", `Cannot ${doing}: ${found}`);
    }
    const total = offset + data.length;
    const most = wish.size ?? MAX_ARTIFACT_BYTES;
    if (total > most) {
      const found = wish.size === undefined ? `it has more than ${most} bytes`
        : `it was to have ${most} bytes, and has more: it has changed under way`;
      throw new RpcError("INVALID", `Cannot ${doing}: ${found}`);
    }
    this.#ask(upload, wish.size ?? total);
    const giveUp = (): void => {
      upload.queue = upload.queue.then(() => this.#end(upload)).catch(() => undefined);
    };
    const file = (upload.file ??= await blobs.begin(giveUp));
    blobs.moved(file, giveUp);
    await file.append(data);
    return file;
  }

  /** So many bytes of the disk in all, for this upload. Others make way for them now. */
  #ask(upload: Upload, bytes: number): void {
    const more = bytes - upload.portion;
    if (more <= 0) return;
    const { engine, blobs } = this.#desk;
    const { name } = upload.wish;
    engine.commit({ type: "MakeArtifactRoom", bytes: blobs.reserved + more, name });
    blobs.reserved += more;
    upload.portion = bytes;
  }

  // #region finish
  /**
   * Its file, if it has one, gets its name; then the fact becomes durable; then it is answered. The
   * caller has held the blob for it.
   */
  async #finish(upload: Upload, sha256: string, size: number): Promise<ArtifactPutAnswer> {
    const { engine, blobs } = this.#desk;
    const { file } = upload;
    let answer: ArtifactPutAnswer;
    try {
      upload.file = undefined;
      if (file !== undefined) await blobs.keep(file, sha256);
      const { info, replaced } = engine.commit({
        type: "PutArtifact",
        ...upload.wish,
        sha256,
        size,
      });
      answer = { done: info, replaced };
    } catch (error) {
      blobs.release(sha256);
      throw error;
    }
    // From that moment on the artifact holds it. On a full disk that may be long after the answer.
    engine.whenDurable(() => blobs.release(sha256));
    await this.#end(upload);
    return new Promise((resolve, reject) => {
      const fail = (code: "DEADLINE", why: string): void => reject(new RpcError(code, why));
      engine.confirm({ fail }, () => resolve(answer));
    });
  }
  // #endregion

  async #end(upload: Upload): Promise<void> {
    if (this.#open.get(upload.id) !== upload) return;
    this.#open.delete(upload.id);
    this.#desk.blobs.reserved -= upload.portion;
    const { file } = upload;
    upload.file = undefined;
    if (file !== undefined) await this.#desk.blobs.drop(file);
  }

  /** The connection is gone. */
  async close(): Promise<void> {
    for (const upload of [...this.#open.values()]) {
      await upload.queue;
      await this.#end(upload);
    }
  }
}

/** @throws {RpcError} INVALID */
function checkWhole({ wish, doing }: Upload, { sha256 }: Piece, file: BlobFile): void {
  if (wish.size !== undefined && file.bytes !== wish.size) {
    const found = `it was to have ${wish.size} bytes, and has ${file.bytes}`;
    throw new RpcError("INVALID", `Cannot ${doing}: ${found}: it has changed under way`);
  }
  if (sha256 === file.hash) return;
  const found = `its sender says that its SHA-256 is ${sha256 ?? "unknown"}`;
  const changed = "it has changed under way, and nothing is kept";
  throw new RpcError("INVALID", `Cannot ${doing}: ${found}, and it is ${file.hash}: ${changed}`);
}

/** A disk that is full is no reason to stop: what has come is gone by now. */
function explained(error: unknown, { doing }: Upload): unknown {
  const { code } = error as { code?: string };
  if (code !== "ENOSPC" && code !== "EDQUOT" && code !== "EFBIG") return error;
  const found = `on the master's disk: ${fileReason(error)}`;
  return new RpcError("INTERNAL", `Cannot ${doing} ${found}; what had come of it is removed`);
}
