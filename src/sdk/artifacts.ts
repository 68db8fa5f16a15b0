/**
 * Lesson 11: artifacts, for programs: the methods of the client.
 *
 * Test: test/10-master.artifacts.test.ts
 */
import { createHash } from "node:crypto";
import type { Host } from "#host";
import {
  fileBytes, hashFile, receiveArtifact, sendArtifact, type Ask, type Incoming, type Outgoing,
  type Sent,
} from "#project";
import {
  ArtifactPage, ArtifactRef, ArtifactsAsked, ArtifactsRemoved, Op, RemoveArtifacts,
  type ArtifactHead, type ArtifactInfo,
} from "#wire";
import { named } from "./options.ts";

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

/** Which one: of a run, or one that is kept by its name. `orKept`: of the run, or else kept. */
export interface ArtifactName {
  readonly run?: string | undefined;
  readonly orKept?: boolean | undefined;
  /** Each piece of its bytes is used up before the next is asked for: they share their memory. */
  readonly lent?: boolean | undefined;
}

export async function putArtifact(
  host: Host, ask: Ask, what: { name: string; source: ArtifactSource; place: ArtifactPlace },
): Promise<Sent> {
  const { name, source, place } = what;
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

export async function listArtifacts(
  pages: Stream, { run, kept = false }: { run?: string; kept?: boolean },
): Promise<ArtifactInfo[]> {
  const found: ArtifactInfo[] = [];
  for await (const body of pages(Op.ARTIFACTS, ArtifactsAsked.encode({ run, kept }))) {
    found.push(...ArtifactPage.decode(body).artifacts);
  }
  return found;
}

export interface CollectOptions {
  readonly olderMs?: number;
  readonly kept?: boolean;
  /** Says what would go, and removes nothing. */
  readonly dryRun?: boolean;
  readonly by?: string;
}

/** One by its name, or without one those that are old. */
export async function removeArtifacts(
  ask: Ask, which: CollectOptions & ArtifactName & { readonly name?: string },
): Promise<ArtifactsRemoved> {
  const { name, run = "", orKept = false, ...rest } = which;
  const { by = "", olderMs = 0, kept = false, dryRun = false } = rest;
  const ref = name === undefined ? undefined : { name, run, orKept };
  const body = RemoveArtifacts.encode({ ref, by, olderMs, kept, dryRun });
  return ArtifactsRemoved.decode(await ask(Op.REMOVE_ARTIFACTS, body));
}
