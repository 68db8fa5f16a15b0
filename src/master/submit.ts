/**
 * Lesson 10: a submission, and the blobs that it names.
 *
 * Small pipelines come inside the request, large ones as a blob that was uploaded before. Between its
 * arrival and its decision a submission waits for the disk, and others upload, submit, are refused and
 * are forgotten meanwhile. So it holds what it names until it is decided; if it becomes a run, the run
 * takes over the hold of the project.
 *
 * Pipelines that wait are bounded in bytes (`arriving`), as those that were accepted are.
 *
 * Invariants: a refused submission removes nothing that anybody else has uploaded or needs; the reply
 * leaves after the fsync.
 * Test: test/10-master.submit.test.ts
 */
import type { Infer } from "#codec";
import { checkArrival, decideSubmit, jobsMemory, Refusal } from "#core";
import type { IncomingRequest } from "#rpc";
import { MAX_SPEC_BYTES, PipelineSpec, Submit, Submitted } from "#wire";
import type { BlobStore, Uploads } from "./blobs.ts";
import type { Engine } from "./engine.ts";
import type { Turns } from "./turns.ts";

interface Desk {
  readonly engine: Pick<Engine, "state" | "context" | "commit" | "confirm">;
  readonly blobs: BlobStore;
  /** Of pipelines that are read from blobs: one at a time, for each may be 56 MiB, and several times as much once it is decoded. */
  readonly specs: Turns;
  /** What the pipelines take in memory that wait for a look at the disk. */
  readonly arriving: { bytes: number };
}

/** A submission, the uploads of its connection, and the connection itself, by which turns are taken. */
interface Asked {
  readonly request: IncomingRequest;
  readonly uploads: Uploads;
  readonly peer: object;
}

interface Arrival extends Asked {
  readonly submission: Infer<typeof Submit>;
}

export function submit(desk: Desk, asked: Asked): void | Promise<void> {
  const submission = Submit.decode(asked.request.body);
  const { spec } = submission;
  if (spec === undefined) return submitBlob(desk, { ...asked, submission });
  if (spec.project !== undefined) return submitProject(desk, { ...asked, submission, spec });
  // Most are these: nothing to wait for.
  accept(desk, { request: asked.request, submission, spec });
}

async function submitBlob(desk: Desk, arrival: Arrival): Promise<void> {
  const { uploads, peer } = arrival;
  const hash = arrival.submission.specBlob ?? "";
  desk.blobs.hold(hash);
  try {
    const done = await desk.specs.take(peer);
    const spec = await desk.blobs.load(hash, MAX_SPEC_BYTES).then((bytes) => PipelineSpec.decode(bytes)).finally(done);
    if (spec.project === undefined) accept(desk, { ...arrival, spec });
    else await submitProject(desk, { ...arrival, spec });
  } finally {
    // Decided, one way or the other. Somebody else's upload of the same pipeline is another hold.
    uploads.used(hash);
    desk.blobs.release(hash);
  }
}

async function submitProject(desk: Desk, arrival: Arrival & { spec: PipelineSpec }): Promise<void> {
  const { spec, uploads } = arrival;
  const project = spec.project!;
  const bytes = jobsMemory(spec.jobs);
  const doing = `submit pipeline "${spec.name}"`;
  checkArrival(desk.arriving.bytes, { bytes, doing }, desk.engine.context);
  desk.blobs.hold(project);
  desk.arriving.bytes += bytes;
  let isRun = false;
  try {
    if (!(await desk.blobs.has(project))) {
      throw new Refusal("INVALID", `Cannot submit pipeline "${spec.name}": its project ${project.slice(0, 12)}… has not been uploaded`);
    }
    isRun = accept(desk, arrival);
    uploads.used(project);
  } finally {
    desk.arriving.bytes -= bytes;
    // A new run keeps the hold until it is forgotten.
    if (!isRun) desk.blobs.release(project);
  }
}

/** Whether it became a run, and not the answer that an earlier one with its key had got. */
function accept({ engine }: Desk, { request, submission, spec }: Pick<Arrival, "request" | "submission"> & { spec: PipelineSpec }): boolean {
  const { key, strict } = submission;
  const { events, ...answer } = decideSubmit(engine.state, { spec, key, strict }, engine.context);
  engine.commit(events);
  // This is the promise that a client relies on: the reply leaves after the fsync.
  engine.confirm(request, () => Submitted.encode(answer));
  return events.length > 0;
}
