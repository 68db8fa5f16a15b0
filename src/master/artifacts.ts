/**
 * Lesson 11: the requests about artifacts (lesson 10 says how requests are handled).
 *
 *     ARTIFACT_PUT       artifact-uploads.ts, a piece at a time
 *     ARTIFACT_GET       what it is, then the pieces of its blob, at the pace of their reader
 *     ARTIFACTS          a list of any length
 *     REMOVE_ARTIFACTS   one by its name, or those that are old
 *
 * Test: test/10-master.artifacts.test.ts
 */
import {
  allArtifacts, artifactInfo, DEFAULT_ARTIFACT_LIMITS, findArtifact, findRun,
} from "#core";
import { RpcError, type IncomingRequest } from "#rpc";
import {
  ArtifactItem, ArtifactPage, ArtifactPut, ArtifactPutAnswer, ArtifactRef, ArtifactsAsked,
  ArtifactsRemoved, MAX_ARTIFACT_BYTES, RemoveArtifacts, type ArtifactInfo,
} from "#wire";
import { BlobError } from "./blobs.ts";
import { list, mapped } from "./lists.ts";
import type { Pace } from "./output.ts";
import { artifactBytes } from "./pages.ts";
import type { Peer, Services } from "./services.ts";

export async function putArtifact(
  _: Services, request: IncomingRequest, { artifacts, link }: Peer,
): Promise<void> {
  const answer = await artifacts.put(ArtifactPut.decode(request.body), link?.id);
  request.reply(ArtifactPutAnswer.encode(answer));
}

export async function getArtifact(
  { engine, blobs, turns }: Services, request: IncomingRequest, { connection }: Peer,
): Promise<void> {
  const artifact = findArtifact(engine.state, ArtifactRef.decode(request.body));
  const { name, sha256 } = artifact;
  const info = artifactInfo(artifact);
  const pace: Pace = () => turns.pace(request, connection);
  blobs.hold(sha256); // it may be removed while it travels
  try {
    await engine.readable();
    await turns.send(request, connection, () => ArtifactItem.encode({ info, data: NOTHING }));
    for await (const data of blobs.read(sha256, { pace, maxBytes: MAX_ARTIFACT_BYTES })) {
      request.item(ArtifactItem.encode({ info: undefined, data }));
    }
    request.end();
  } catch (error) {
    if (!(error instanceof BlobError)) throw error;
    const found = "its bytes were damaged on the master's disk, and are gone; put it again";
    throw new RpcError("NOT_FOUND", `Cannot read artifact ${JSON.stringify(name)}: ${found}`);
  } finally {
    blobs.release(sha256);
  }
}

const NOTHING = Buffer.alloc(0);

export function listArtifacts(
  services: Services, request: IncomingRequest, peer: Peer,
): Promise<void> {
  const { state } = services.engine;
  const { run, kept } = ArtifactsAsked.decode(request.body);
  const meant = run !== undefined ? findRun(state, run).artifacts.values()
    : kept ? state.kept.values() : allArtifacts(state);
  return list(services, request, {
    peer,
    rows: mapped(meant, artifactInfo),
    bytesOf: artifactBytes,
    encode: (artifacts: ArtifactInfo[]) => ArtifactPage.encode({ artifacts }),
  });
}

export async function removeArtifacts(
  { engine }: Services, request: IncomingRequest,
): Promise<void> {
  const { ref, by, ...which } = RemoveArtifacts.decode(request.body);
  const done = ref === undefined
    ? await engine.execute({ type: "CollectArtifacts", by, ...which })
    : await engine.execute({ type: "RemoveArtifact", by, ref });
  const { totalBytes } = engine.context.artifacts ?? DEFAULT_ARTIFACT_LIMITS;
  request.reply(ArtifactsRemoved.encode({
    artifacts: done.removed, more: done.more, freedBytes: done.freed,
    usedBytes: engine.state.contentBytes, maxBytes: totalBytes,
  }));
}
