/**
 * Lesson 22: what may happen to a service: its news, its end, its next start (lesson 14).
 *
 * Once more in other words: no table of phases, and times instead of forgiveness.
 *
 * Invariant: what is not allowed changes nothing.
 * Test: test/22-simulation.services.test.ts
 */
import type { EventOf } from "#core";
import type { JobStatus } from "#wire";
import type { Complaints } from "./invariants-list.ts";
import type { ModelJob } from "./model-state.ts";

/** Reports a broken promise. */
/** What these rules need of the model around them. */
export interface Hands extends Complaints {
  end(job: ModelJob, as: JobStatus): void;
  again(job: ModelJob, notBefore: number): void;
  considerTurn(job: ModelJob): void;
}

const WELL_MS = 10_000;
/** Ends that come again however often one tries. */
const HOPELESS: ReadonlySet<string> = new Set([
  "not-found", "not-executable", "unsupported", "bad-input",
]);

/** Whether it was READY for so long that nothing is held against it any more. */
export function wasWell({ service }: ModelJob, at: number): boolean {
  return service?.phase === "READY" && at - service.readyAt >= WELL_MS;
}

/** Its end is what somebody wants: the service is COMPLETED by it. */
export function isStopping({ service }: ModelJob): boolean {
  return service?.asked === "stop" || service?.asked === "drain";
}

/** News about an attempt counts while this attempt runs, and is news. */
function checkHealth(
  model: Complaints, job: ModelJob, event: EventOf<"ServiceHealth">,
): void {
  const name = `${job}#${event.attempt} is ${event.phase}`;
  if (job.service === undefined) model.fail("replay-equals-live", `${name}, and is no service`);
  if (job.attempt !== event.attempt || job.status !== "RUNNING") {
    model.fail(
      "one-unfenced-attempt",
      `${name}, and attempt ${job.attempt} of it is ${job.status}`,
    );
  }
  if (!["STARTING", "READY", "UNHEALTHY"].includes(event.phase)) {
    model.fail("replay-equals-live", `${name}, which no worker can know`);
  }
}

/** Whether another attempt follows, and when. `failures` includes this one. */
function checkServiceEnd(
  model: Complaints,
  job: ModelJob,
  end: { event: EventOf<"JobFailed">; failures: number },
): void {
  const { event, failures } = end;
  const { failure, retryAt, at } = event;
  const { policy, attempts, windowMs, delayMs, backoff, maxDelayMs } = job.spec.service!.restart;
  const name = `service ${job}#${event.attempt}`;
  const wrong = (what: string): never => model.fail("retries-within-budget", `${name} ${what}`);
  if (isStopping(job)) wrong("fails, and is to end");
  if (job.service!.asked === "restart") {
    return retryAt === at ? undefined : wrong("does not start at once, as somebody wants");
  }
  const blocked = failure.kind === "port-taken";
  const recent = job.service!.restarts.filter((time) => at - time < windowMs).length;
  const hopeless = HOPELESS.has(failure.kind) && !job.service!.settled;
  const spent = attempts > 0 && recent >= attempts;
  const again = blocked || !(policy === "never" || hopeless || spent);
  if (again && retryAt === undefined) wrong(`is given up (${failure.kind}, ${recent} restarts)`);
  if (!again && retryAt !== undefined) wrong(`starts again (${failure.kind}, ${recent} restarts)`);
  if (retryAt === undefined) return;
  const longest = Math.min(delayMs * backoff ** (failures - 1), maxDelayMs);
  const pause = retryAt - at;
  if (pause < 0.75 * longest - 1 || pause > longest + 1) {
    wrong(`waits ${pause} ms after failure ${failures}, not ${0.75 * longest} to ${longest}`);
  }
}

export function failed(
  hands: Hands, job: ModelJob, event: EventOf<"JobFailed">,
): void {
  const { at, retryAt, failure } = event;
  const service = job.service!;
  const wanted = service.asked === "restart";
  const failures = wanted ? 0 : wasWell(job, at) ? 1 : job.failures + 1;
  checkServiceEnd(hands, job, { event, failures });
  job.failures = failures;
  if (retryAt === undefined) return hands.end(job, "FAILED");
  if (!wanted && failure.kind !== "port-taken") service.restarts.push(at);
  service.phase = "RESTARTING";
  service.blocked = failure.kind === "port-taken";
  hands.again(job, retryAt);
}

export function health(hands: Hands, job: ModelJob, event: EventOf<"ServiceHealth">): void {
  checkHealth(hands, job, event);
  const service = job.service!;
  if (event.phase === "READY" && service.phase !== "READY") service.readyAt = event.at;
  if (event.phase !== "STARTING") service.phase = event.phase;
  if (event.phase !== "READY" || service.settled) return;
  service.settled = true;
  for (const child of job.children) {
    child.openParents -= 1;
    hands.considerTurn(child);
  }
}

type Wish = EventOf<"ServicesStopped" | "ServicesRestarted" | "ReplicasRetired">;

/** Nobody wants them any more: one that has not started has nothing to end. */
export function retired(
  hands: Hands, jobs: readonly ModelJob[], event: EventOf<"ReplicasRetired">,
): void {
  checkWish(hands, jobs, event);
  const { how, at } = event;
  for (const job of jobs) {
    const service = job.service!;
    if (how === "drain") service.surplus = true;
    if (job.status !== "RUNNING") hands.end(job, "COMPLETED");
    else if (how === "stop") service.asked = "stop";
    else if (service.asked !== "stop") {
      service.asked = "drain";
      service.drainUntil = at + job.spec.service!.stopGraceMs;
    }
  }
}

export function stopped(hands: Hands, jobs: readonly ModelJob[], event: Wish): void {
  checkWish(hands, jobs, event);
  for (const job of jobs) {
    if (job.status === "RUNNING") job.service!.asked = "stop";
    else hands.end(job, job.service!.phase === undefined ? "CANCELLED" : "COMPLETED");
  }
}

export function restarted(hands: Hands, jobs: readonly ModelJob[], event: Wish): void {
  checkWish(hands, jobs, event);
  const bad = jobs.find(isStopping);
  if (bad !== undefined) hands.fail("terminal-absorbs", `${bad} is restarted, and is to end`);
  for (const job of jobs) {
    if (job.status === "RUNNING") job.service!.asked = "restart";
    else if (job.service!.phase === "RESTARTING") {
      job.notBefore = Math.min(job.notBefore, event.at);
      job.failures = 0;
    }
  }
}

/** Only of services that go on can anything be wanted. */
function checkWish(hands: Hands, jobs: readonly ModelJob[], { type }: Wish): void {
  const bad = jobs.find((job) => job.over || job.service === undefined);
  if (bad === undefined) return;
  hands.fail("terminal-absorbs", `${type} names ${bad}, which is ${bad.status}`);
}
