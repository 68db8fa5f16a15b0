/**
 * Lesson 18: what jobs ask of their master with their own credentials, and what people ask about
 * it: the part of handlers.ts that is about agents.
 *
 * Invariants: a change names the attempt that asks (`by`), which the session knows and the request
 * cannot say; a result that is a blob is there, and held, before the step is DONE.
 * Test: test/18-agents.steps.test.ts
 */
import { findJob, findRun, Refusal, stepInfo, type Run } from "#core";
import { RpcError, type IncomingRequest } from "#rpc";
import {
  Empty, Forked, ForkRun, StepAnswer, StepEnd, StepsOf, StepStart,
  type JobScope, type StepInfo,
} from "#wire";
import type { Peer, Services } from "./services.ts";

/** @throws {RpcError} UNAUTHORIZED: a person has no steps */
export function attemptOf({ scope }: Peer, doing: string): JobScope {
  if (scope !== undefined) return scope;
  const found = "only a job may, with its own TITAN_TOKEN, and this session has none";
  throw new RpcError("UNAUTHORIZED", `Cannot ${doing}: ${found}`);
}

export function startStep({ engine }: Services, request: IncomingRequest, peer: Peer): void {
  const by = attemptOf(peer, "start a step");
  const step = StepStart.decode(request.body);
  const answer = engine.commit({ type: "StartStep", by, step });
  // The program begins when it hears this: by then the disk knows.
  engine.confirm(request, () => request.reply(StepAnswer.encode(answer)));
}

// #region end
export async function endStep(
  services: Services, request: IncomingRequest, peer: Peer,
): Promise<void> {
  const { engine, blobs } = services;
  const by = attemptOf(peer, "end a step");
  const step = StepEnd.decode(request.body);
  const hash = step.blob?.sha256;
  if (hash !== undefined) blobs.hold(hash);
  let isKept = false;
  try {
    if (hash !== undefined && !(await blobs.has(hash))) {
      const found = `its result ${hash.slice(0, 12)}… has not been uploaded`;
      throw new Refusal("INVALID", `Cannot end step ${step.name}: ${found}`);
    }
    isKept = engine.commit({ type: "EndStep", by, step }).isNew;
  } finally {
    // A new result keeps the hold until its run is forgotten.
    if (hash !== undefined && !isKept) blobs.release(hash);
    if (hash !== undefined) peer.uploads.used(hash);
  }
  engine.confirm(request, () => request.reply(Empty.encode({})));
}
// #endregion

/** In the order in which the run began them. */
export function stepRows({ engine }: Services, request: IncomingRequest): StepInfo[] {
  const { run: id, job } = StepsOf.decode(request.body);
  const run: Run = findRun(engine.state, id);
  const jobs = job === undefined ? run.jobs : [findJob(run, job)];
  const rows = jobs.flatMap((each) => [...(each.journal?.values() ?? [])].map((step) =>
    stepInfo(each, step)));
  return rows.sort((a, b) => a.order - b.order);
}

export async function fork({ engine }: Services, request: IncomingRequest): Promise<void> {
  const wish = ForkRun.decode(request.body);
  request.reply(Forked.encode(await engine.execute({ type: "Fork", ...wish })));
}
