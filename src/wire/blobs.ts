/**
 * Files by the hash of their bytes (lesson 10): packed projects, and pipelines that are too large
 * for one frame.
 *
 * Test: test/10-master.blobs.test.ts
 */
import { bool, bytes, message, string, u53 } from "#codec";
import { BLOB_CHUNK_BYTES, MAX_BLOB_BYTES } from "./limits.ts";

export const BlobRef = message("BlobRef", { hash: [1, string(64)] });
export const BlobHas = message("BlobHas", { present: [1, bool()] });
export const BlobPut = message("BlobPut", {
  hash: [1, string(64)],
  total: [2, u53()],
  offset: [3, u53()],
  data: [4, bytes(BLOB_CHUNK_BYTES)],
});
export const BlobChunk = message("BlobChunk", { data: [1, bytes(MAX_BLOB_BYTES)] });
