/**
 * Lesson 18: what a job asks about itself, in a session with its own credential.
 *
 * Test: test/18-agents.steps.test.ts
 */
import { BlobChunk, BlobRef, Op, StepAnswer, StepEnd, StepStart } from "#wire";
import type { Client } from "./client.ts";

/** Whether this step runs now. */
export async function startStep(client: Client, step: StepStart): Promise<StepAnswer> {
  return StepAnswer.decode(await client.request(Op.STEP_START, StepStart.encode(step)));
}

/** How a step has ended. */
export async function endStep(client: Client, step: StepEnd): Promise<void> {
  await client.request(Op.STEP_END, StepEnd.encode(step));
}

/** A blob by its hash, which was uploaded. */
export async function readBlob(client: Client, hash: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const body of client.parts(Op.BLOB_GET, BlobRef.encode({ hash }))) {
    chunks.push(BlobChunk.decode(body).data);
  }
  return Buffer.concat(chunks);
}
