/**
 * Lesson 11: an artifact on its way from the master.
 *
 * Invariant: whoever has read the bytes to their end without an error has what the master keeps.
 * Test: test/10-master.artifacts.test.ts
 */
import { createHash } from "node:crypto";
import { letGo } from "#framing";
import { RpcError } from "#rpc";
import { ArtifactItem, type ArtifactInfo } from "#wire";

export interface Incoming {
  readonly info: ArtifactInfo;
  /** To be read once, to the end or not. Lent pieces are gone when the next one is asked for. */
  readonly bytes: AsyncGenerator<Buffer, void>;
}

/** `items`: the stream that ARTIFACT_GET answers with. */
export async function receiveArtifact(
  items: AsyncIterable<Buffer>, { isLent = false } = {},
): Promise<Incoming> {
  const iterator = items[Symbol.asyncIterator]();
  const first = await iterator.next();
  const info = first.done === true ? undefined : ArtifactItem.decode(first.value).info;
  if (info === undefined) {
    throw new RpcError(
      "BAD_REQUEST",
      "Cannot read an artifact: the answer does not say what it is",
    );
  }
  const bytes = checked(info, iterator, isLent);
  // It has begun: else its `return` would not reach the stream, whose rest would wait for a reader.
  await bytes.next();
  return { info, bytes };
}

const NOTHING = Buffer.alloc(0);

/** After nothing, which is to be taken first, the bytes. */
async function* checked(
  { name, size, sha256 }: ArtifactInfo, items: AsyncIterator<Buffer>, isLent: boolean,
): AsyncGenerator<Buffer, void> {
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    yield NOTHING;
    for (let next = await items.next(); next.done !== true; next = await items.next()) {
      const { data } = ArtifactItem.decode(next.value);
      hash.update(data);
      bytes += data.length;
      yield data;
      // A gigabyte of new memory would be collected late.
      if (isLent) letGo(next.value);
    }
  } finally {
    await items.return?.();
  }
  const found = hash.digest("hex");
  if (bytes === size && found === sha256) return;
  const what = `${bytes} bytes came with the SHA-256 ${found}, not ${size} with ${sha256}`;
  throw new RpcError("INTERNAL", `Cannot use artifact ${JSON.stringify(name)}: ${what}`);
}
