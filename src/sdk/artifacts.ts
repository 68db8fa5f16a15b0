/**
 * Lesson 11: sends artifacts to the master and fetches them. An artifact is a file that a run hands
 * on, or that lives by its name. These functions are behind the methods of the client (client.ts)
 * and of a job (job-artifacts.ts).
 *
 * Test: test/10-master.artifacts.test.ts
 */
import { createHash } from "node:crypto";
import type { Host } from "#host";
import {
  fileBytes, hashFile, receiveArtifact, sendArtifact, type Ask, type Incoming, type Outgoing,
  type Sent,
} from "#project";
import { ArtifactRef, Op, type ArtifactHead } from "#wire";
import { named, type ArtifactName } from "#calls";

/**
 * Bytes, a text (as UTF-8), the path of a file, or bytes as they come. A file is read twice: first
 * for its hash, and what the master has already is not sent again.
 */
export type ArtifactSource =
  | Uint8Array
  | string
  | { readonly file: string }
  | AsyncIterable<Uint8Array>;

/** Where it belongs: a run, or its name alone. */
export interface ArtifactPlace {
  /** Without `keep` it belongs to this run, and goes when that is forgotten. */
  readonly run?: string | undefined;
  /** It lives by its name, until somebody removes it. */
  readonly keep?: boolean | undefined;
  /** The job that puts it, and its attempt: one that is over is refused. */
  readonly job?: string | undefined;
  readonly attempt?: number | undefined;
  /** The person who puts it. */
  readonly by?: string | undefined;
}

export async function putArtifact(
  host: Host, ask: Ask, what: { name: string; source: ArtifactSource; place: ArtifactPlace },
): Promise<Sent> {
  const { name, source, place } = what;
  if (typeof place !== "object" || place === null) {
    const wanted = "it needs a place, {run: RUN} or {keep: true}";
    throw new TypeError(`Cannot put artifact ${name}: ${wanted}, found ${named(place)}`);
  }
  const { size, ...outgoing } = await outgoingOf(host, source);
  const { run, job, attempt, keep = false, by = "" } = place;
  const head: ArtifactHead = { name, run, job, attempt, keep, by, size, output: false };
  return sendArtifact(ask, { head, ...outgoing });
}

type Known = Omit<Outgoing, "head"> & { readonly size: number | undefined };

async function outgoingOf(host: Host, source: ArtifactSource): Promise<Known> {
  if (typeof source === "string") return inMemory(Buffer.from(source));
  if (ArrayBuffer.isView(source)) return inMemory(source);
  if (typeof source === "object" && source !== null && "file" in source) {
    return { ...(await hashFile(host, source.file)), bytes: fileBytes(host, source.file) };
  }
  if (Symbol.asyncIterator in Object(source)) {
    return { size: undefined, sha256: undefined, bytes: source };
  }
  const wanted = "its source must be bytes, text, {file: PATH} or an async iterable of bytes";
  throw new TypeError(`Cannot put artifact: ${wanted}, found ${named(source)}`);
}

function inMemory(bytes: Uint8Array): Known {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { size: bytes.byteLength, sha256, bytes: [bytes] };
}

type Stream = (opcode: number, body: Buffer) => AsyncIterable<Buffer>;

export function getArtifact(
  stream: Stream, name: string, from: ArtifactName,
): Promise<Incoming> {
  const { run = "", orKept = false, lent = false } = from;
  const items = stream(Op.ARTIFACT_GET, ArtifactRef.encode({ name, run, orKept }));
  return receiveArtifact(items, { isLent: lent });
}
