/**
 * Lesson 10: a submission, and the blobs that it names.
 *
 * Small pipelines come inside the request, large ones as a blob that was uploaded before. Between
 * its arrival and its decision a submission waits for the disk, and others upload, submit, are
 * refused and are forgotten meanwhile. So it holds what it names until it is decided; if it becomes
 * a run, the run takes over the hold of the project.
 *
 * Pipelines that wait are bounded in bytes (`arriving`), as those that were accepted are.
 *
 * Invariants: a refused submission removes nothing that anybody else has uploaded or needs; the
 * reply leaves after the fsync.
 * Test: test/10-master.submit.test.ts
 */
import { checkArrival, Refusal, roomForJobs } from "#core";
import type { IncomingRequest } from "#rpc";
import {
  MAX_SPEC_BYTES, SealedPipeline, SealedSubmit, Submitted, type PipelineSpec,
} from "#wire";
import type { BlobStore } from "./blobs.ts";
import type { Engine } from "./engine.ts";
import { takeJobs } from "./intake.ts";
import type { Turns } from "./turns.ts";
import type { Uploads } from "./uploads.ts";

interface Desk {
  readonly engine: Pick<Engine, "state" | "context" | "commit" | "confirm">;
  readonly blobs: BlobStore;
  /**
   * Of pipelines that are read from blobs: one at a time, for each may be 56 MiB, and several times
   * as much once it is decoded.
   */
  readonly specs: Turns;
  /** What the pipelines take in memory that wait for a look at the disk. */
  readonly arriving: { bytes: number };
}

/**
 * A submission, the uploads of its connection, and the connection itself, by which turns are taken.
 */
interface Asked {
  readonly request: IncomingRequest;
  readonly uploads: Uploads;
  readonly peer: object;
}

interface Arrival extends Asked {
  readonly submission: SealedSubmit;
}

/** A pipeline that has been read. */
interface Opened {
  /** Without jobs if those are too heavy. */
  readonly spec: PipelineSpec;
  /** What its jobs take in memory. */
  readonly jobBytes: number;
  readonly isTooHeavy: boolean;
}

export function submit(desk: Desk, asked: Asked): void | Promise<void> {
  const { request, uploads, peer } = asked;
  const submission = SealedSubmit.decode(request.body);
  const arrival: Arrival = { request, uploads, peer, submission };
  if (submission.spec === undefined) return submitBlob(desk, arrival);
  const opened = open(desk, submission, submission.spec);
  if (hasProject(opened)) return submitProject(desk, arrival, opened);
  // Most are these: nothing to wait for.
  accept(desk, arrival, opened);
}

/** Decodes the jobs, as far as there is room for them. */
function open({ engine }: Desk, { key }: SealedSubmit, sealed: SealedPipeline): Opened {
  const room = roomForJobs(engine.state, key, engine.context);
  const { jobs, bytes: jobBytes, isTooHeavy } = takeJobs(sealed.jobs, room);
  // The same object: nobody else has it, and each run keeps its own for as long as it lives.
  const spec: PipelineSpec = Object.assign(sealed as Omit<SealedPipeline, "jobs">, { jobs });
  return { spec, jobBytes, isTooHeavy };
}

/** Whether there is something to look for. A pipeline that is too heavy is refused anyway. */
function hasProject({ spec, isTooHeavy }: Opened): boolean {
  return spec.project !== undefined && !isTooHeavy;
}

async function submitBlob(desk: Desk, arrival: Arrival): Promise<void> {
  const { uploads, peer, submission } = arrival;
  const hash = submission.specBlob ?? "";
  desk.blobs.hold(hash);
  try {
    const done = await desk.specs.take(peer);
    const opened = await desk.blobs.load(hash, MAX_SPEC_BYTES)
      .then((bytes) => open(desk, submission, SealedPipeline.decode(bytes)))
      .finally(done);
    if (hasProject(opened)) await submitProject(desk, arrival, opened);
    else accept(desk, arrival, opened);
  } finally {
    // Decided, one way or the other. Somebody else's upload of the same pipeline is another hold.
    uploads.used(hash);
    desk.blobs.release(hash);
  }
}

async function submitProject(desk: Desk, arrival: Arrival, opened: Opened): Promise<void> {
  const { uploads } = arrival;
  const { spec, jobBytes: bytes } = opened;
  const project = spec.project!;
  const doing = `submit pipeline "${spec.name}"`;
  checkArrival(desk.arriving.bytes, { bytes, doing }, desk.engine.context);
  desk.blobs.hold(project);
  desk.arriving.bytes += bytes;
  let isRun = false;
  try {
    if (!(await desk.blobs.has(project))) {
      const known = `its project ${project.slice(0, 12)}…`;
      throw new Refusal("INVALID", `Cannot ${doing}: ${known} has not been uploaded`);
    }
    isRun = accept(desk, arrival, opened);
    uploads.used(project);
  } finally {
    desk.arriving.bytes -= bytes;
    // A new run keeps the hold until it is forgotten.
    if (!isRun) desk.blobs.release(project);
  }
}

/** Whether it became a run, and not the answer that an earlier one with its key had got. */
function accept({ engine }: Desk, { request, submission }: Arrival, opened: Opened): boolean {
  const { key, strict, by, updateMs } = submission;
  const { spec, jobBytes } = opened;
  const { run, existing, warnings, forgotten = false, replaces = "" } = engine.commit({
    type: "Submit", spec, key, by, strict, jobBytes, updateMs,
  });
  // This is the promise that a client relies on: the reply leaves after the fsync.
  const answer = Submitted.encode({ run, existing, warnings, forgotten, replaces });
  engine.confirm(request, () => request.reply(answer));
  return !existing;
}
