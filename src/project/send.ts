/**
 * Lesson 11: bytes on their way to the master, which keeps them as an artifact.
 *
 *     head ──▶        is it welcome?      (and if its hash is known: is it there already?)
 *     piece piece piece piece ──▶         ARTIFACT_WINDOW of them are under way
 *        ◀── taken                        one more goes
 *     end, with the SHA-256 ──▶           kept, if that is what has come
 *
 * The answer to a piece is the credit for another one: a disk that is slow, or a master that is
 * busy, slows the sender, and neither side holds more than a window.
 *
 * Test: test/10-master.artifacts.test.ts
 */
import { createHash } from "node:crypto";
import type { Host } from "#host";
import {
  ARTIFACT_WINDOW, ArtifactPut, ArtifactPutAnswer, BLOB_CHUNK_BYTES, MAX_ARTIFACT_UPLOADS, Op,
  pieceMemory, pieceWith, type ArtifactHead, type ArtifactInfo,
} from "#wire";

/** One request over one connection. All pieces go over the same. */
export type Ask = (opcode: number, body: Buffer) => Promise<Buffer>;

export interface Outgoing {
  readonly head: ArtifactHead;
  /** If it is known: what the master has already is not sent again. */
  readonly sha256?: string | undefined;
  readonly bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface Sent {
  readonly info: ArtifactInfo;
  /** What had the name before. */
  readonly replaced: ArtifactInfo | undefined;
}

/** Uploads over one connection: a few at a time, the others wait. */
export class SendQueue {
  #free = MAX_ARTIFACT_UPLOADS;
  readonly #waiting: (() => void)[] = [];

  async run<T>(send: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await send();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}

let uploads = 0;

// #region send
/** Sends it. The master keeps all of it or nothing. */
export async function sendArtifact(ask: Ask, { head, sha256, bytes }: Outgoing): Promise<Sent> {
  const upload = (uploads = (uploads + 1) % 2 ** 32);
  const send = async (piece: Partial<Piece>): Promise<ArtifactPutAnswer> => {
    const body = ArtifactPut.encode({ upload, offset: 0, data: NOTHING, last: false, ...piece });
    return ArtifactPutAnswer.decode(await ask(Op.ARTIFACT_PUT, body));
  };
  const { done, replaced } = await send({ head, sha256 });
  if (done !== undefined) return { info: done, replaced };
  const hash = createHash("sha256");
  const underWay: Promise<unknown>[] = [];
  const bodies: Buffer[] = [];
  let [offset, sent] = [0, 0];
  try {
    for await (const data of pieces(bytes)) {
      if (sha256 === undefined) hash.update(data);
      if (underWay.length === ARTIFACT_WINDOW) await underWay.shift();
      const memory = (bodies[sent++ % ARTIFACT_WINDOW] ??= pieceMemory());
      underWay.push(ask(Op.ARTIFACT_PUT, pieceWith(memory, { upload, offset, data })));
      underWay.at(-1)!.catch(() => undefined); // told when its turn comes
      offset += data.length;
    }
    for (const each of underWay) await each;
  } catch (error) {
    // An end without a hash: the master lets go of what has come.
    await send({ offset, last: true }).catch(() => undefined);
    throw error;
  }
  const end = await send({ offset, last: true, sha256: sha256 ?? hash.digest("hex") });
  return { info: end.done!, replaced: end.replaced };
}
// #endregion

type Piece = Parameters<typeof ArtifactPut.encode>[0];
const NOTHING = Buffer.alloc(0);

/** The same bytes, none of them empty and none longer than a piece may be. */
async function* pieces(bytes: Outgoing["bytes"]): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    const whole = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at < whole.length; at += BLOB_CHUNK_BYTES) {
      yield whole.subarray(at, at + BLOB_CHUNK_BYTES);
    }
  }
}

/** The bytes of a file. Each piece is good until the next one is asked for. */
export async function* fileBytes(host: Host, path: string): AsyncGenerator<Buffer> {
  const file = await host.storage.open(path, { readOnly: true });
  const memory = Buffer.allocUnsafeSlow(BLOB_CHUNK_BYTES);
  try {
    for (let offset = 0; ;) {
      const piece = await file.read(offset, BLOB_CHUNK_BYTES, memory);
      if (piece.length === 0) return;
      offset += piece.length;
      yield piece;
    }
  } finally {
    await file.close();
  }
}

/** Its size and SHA-256 as it is now. The master says if it has changed when it is sent. */
export async function hashFile(
  host: Host, path: string,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const piece of fileBytes(host, path)) {
    hash.update(piece);
    size += piece.length;
  }
  return { size, sha256: hash.digest("hex") };
}
