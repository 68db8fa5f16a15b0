/**
 * Lesson 10: events as lines that a person can follow: names instead of numbers. `titan eventlog
 * show` prints them, and so does the simulator.
 *
 * Invariants: what is remembered grows with the runs and workers that the master itself remembers,
 * not with the log.
 * Test: test/10-master.event-text.test.ts
 */
import type { Edge, Event, EventOf } from "./events.ts";
import { stepName } from "./journal.ts";

/**
 * Reports about a worker's jobs come soon after its end. Beyond this many ends its name is
 * forgotten.
 */
const MAX_LOST_WORKERS = 1000;

/** What the numbers in events mean, learned from the events themselves, or from a snapshot. */
export class Names {
  readonly #runs = new Map<number, { id: string; jobs: string[] }>();
  readonly #workers = new Map<number, string>();
  readonly #lost: number[] = [];

  learn(event: Event): void {
    if (isSubmission(event)) {
      this.addRun(event.run, { id: event.id, jobs: event.spec.jobs });
    }
    if (isGrowth(event)) this.addJobs(event.run, event.jobs);
    if (event.type === "WorkerJoined") this.addWorker(event.worker, event.name);
    if (event.type === "WorkerLost" && this.#lost.push(event.worker) > MAX_LOST_WORKERS) {
      this.#workers.delete(this.#lost.shift()!);
    }
  }

  /** To be called once the event has been told: nothing speaks of these runs again. */
  forget(event: Event): void {
    if (event.type !== "RunsForgotten" && event.type !== "RunsLetGo") return;
    for (const run of event.runs) this.#runs.delete(run);
  }

  addRun(
    number: number,
    { id, jobs }: { id: string; jobs: readonly { readonly id: string }[] },
  ): void {
    this.#runs.set(number, { id, jobs: jobs.map((job) => job.id) });
  }

  addJobs(run: number, jobs: readonly { readonly id: string }[]): void {
    this.#runs.get(run)?.jobs.push(...jobs.map((job) => job.id));
  }

  addWorker(number: number, name: string): void {
    this.#workers.set(number, name);
  }

  run(number: number): string {
    return this.#runs.get(number)?.id ?? `run ${number}`;
  }

  /** The id of a run, if an event has introduced it. */
  runId(number: number): string | undefined {
    return this.#runs.get(number)?.id;
  }

  /** Its id in its run. */
  jobId({ run, job }: { run: number; job: number }): string {
    return this.#runs.get(run)?.jobs[job] ?? String(job);
  }

  job(key: { run: number; job: number }): string {
    return `${this.run(key.run)}/${this.jobId(key)}`;
  }

  attempt(key: { run: number; job: number; attempt: number }): string {
    return `${this.job(key)}#${key.attempt}`;
  }

  /**
   * A name may be used again by a later registration, so the number is part of what a person reads.
   */
  worker(number: number): string {
    const name = this.#workers.get(number);
    return name === undefined ? `worker ${number}` : `${name} (number ${number})`;
  }

  workerName(number: number): string | undefined {
    return this.#workers.get(number);
  }
}

function isSubmission(
  event: Event,
): event is EventOf<"RunSubmitted" | "UpdateSubmitted" | "RunForked"> {
  const { type } = event;
  return type === "RunSubmitted" || type === "UpdateSubmitted" || type === "RunForked";
}

const GROWTH = ["JobsAdded", "JobsInserted", "JobsSpawned", "ServiceScaled"] as const;

function isGrowth(event: Event): event is EventOf<(typeof GROWTH)[number]> {
  return (GROWTH as readonly string[]).includes(event.type);
}

/** Ids that a line names; a run may have 100,000 jobs. */
const MAX_NAMED = 8;

/** What happened, in a line that begins with the event's type. */
export function eventText(event: Event, names: Names): string {
  names.learn(event);
  const said = whatOf(event, names);
  names.forget(event);
  return said === "" ? event.type : `${event.type} ${said}`;
}

function whatOf(event: Event, names: Names): string {
  switch (event.type) {
    case "RunSubmitted":
      return `${event.id} with ${counted(event.spec.jobs.length, "job")}${keyText(event.key)}`;
    case "UpdateSubmitted":
      return `${event.id} with ${counted(event.spec.jobs.length, "job")}, in place of ` +
        `${names.run(event.replaces)}${keyText(event.key)}`;
    case "RunForked":
      return `${event.id} with ${counted(event.step, "step")} of ${names.run(event.from)}`;
    case "StepStarted":
      return `${stepText(event, names)}, ${event.effect}${event.again === true ? ", again" : ""}`;
    case "StepDone":
    case "StepFailed":
      return stepText(event, names);
    case "UpdateDone":
    case "ChangesAccepted":
    case "UpdateFailed":
      return names.run(event.run);
    case "ServiceScaled":
      return `${names.run(event.run)}: ${scaledText(event, names)}, by ${event.by}`;
    case "JobsAdded":
      return `${names.run(event.run)}: ${listed(event.jobs.map(({ id }) => id))}`;
    case "JobsInserted":
      return `${names.run(event.run)}: ${listed(event.jobs.map(({ id }) => id))}; ` +
        listed(event.edges.map((edge) => edgeText(event.run, edge, names)));
    case "JobsSpawned":
    case "WaitAsked":
    case "JobPaused":
    case "AskOpened":
    case "AskApproved":
    case "AskClosed":
      return agentText(event, names);
    case "JobStarted":
      return `${names.attempt(event)} on ${names.worker(event.worker)}`;
    case "JobSucceeded":
    case "JobStopped":
      return names.attempt(event);
    case "JobFailed":
      return `${names.attempt(event)}: ${event.failure.kind}, ${again(event.retryAt)}`;
    case "JobLost":
      return `${names.attempt(event)}${event.dead ? ", for good" : ""}`;
    case "JobsCancelled":
    case "JobsMarked":
      return `${names.run(event.run)}: ${event.whole ? "all of it" : jobsText(event, names)}`;
    case "GateDecided":
      return `${names.job(event)}: ${event.approve ? "approved" : "rejected"} by ${event.by}`;
    case "GateApproved":
      return `${names.job(event)} by ${event.by}, and it wants more`;
    case "GateClosed":
      return `${names.job(event)}: ${event.outcome} by ${event.by}`;
    case "NoticeSent":
    case "NoticeFailed":
      return noticeText(event, names);
    case "RunRetried":
      return `${names.run(event.run)}: ${jobsText(event, names)}`;
    case "WorkerJoined":
      return `${names.worker(event.worker)}, ${counted(event.slots, "slot")}`;
    case "WorkerKnows":
      return `${names.worker(event.worker)}: ${event.knows.join(", ")}`;
    case "WorkerLost":
      return `${names.worker(event.worker)}: ${event.reason}`;
    case "WorkerDrained":
      return `${names.worker(event.worker)}: ${event.on ? "nothing new" : "undone"}`;
    case "OutputLost":
      return `${names.attempt(event)}: ${counted(event.bytes, "byte")}`;
    case "ServiceHealth":
      return `${names.attempt(event)} is ${event.phase} at ${event.host}:${event.port}`;
    case "ServicesStopped":
    case "ServicesRestarted":
      return `${jobsText(event, names)} by ${event.by}`;
    case "ReplicasRetired":
      return `${jobsText(event, names)} (${event.how}) by ${event.by}`;
    case "NameLetGo":
      return `${event.name} by ${event.by}`;
    case "LaunchOrdered":
      return `${event.name} of pool ${event.pool}`;
    case "LaunchAnswered":
      return `${event.name}, handle ${event.handle}`;
    case "LaunchRetired":
    case "LaunchStopped":
    case "LaunchEnded":
      return event.name;
    case "BudgetReached":
      return `${event.group}: ${event.what} at ${event.percent} %`;
    case "BudgetRaised":
      return `${event.group} by ${event.by}`;
    case "ArtifactPut":
      return `${artifactName(event, names)}, ${counted(event.size, "byte")}${makerText(event)}`;
    case "ArtifactsRemoved":
      return listed(event.gone.map((each) => artifactName(each, names)));
    case "TimePassed":
      return "";
    case "RunsForgotten":
    case "RunsLetGo":
      return listed(event.runs.map((run) => names.run(run)));
  }
}

type OfStep = EventOf<"StepStarted" | "StepDone" | "StepFailed">;

function stepText(event: OfStep, names: Names): string {
  return `${names.attempt(event)}: ${stepName(event)}`;
}

type AgentEvent = EventOf<
  "JobsSpawned" | "WaitAsked" | "JobPaused" | "AskOpened" | "AskApproved" | "AskClosed"
>;

/** What a job asks for while it runs (lesson 18). */
function agentText(event: AgentEvent, names: Names): string {
  switch (event.type) {
    case "JobsSpawned": {
      const ids = listed(event.jobs.map(({ id }) => id));
      const edges = event.edges.map((edge) => edgeText(event.run, edge, names));
      const before = edges.length === 0 ? "" : `; ${listed(edges)}`;
      return `${names.attempt(event)} key ${event.key}: ${ids}${before}`;
    }
    case "WaitAsked":
      return `${names.attempt(event)}: ${waitsText(event, names)}`;
    case "JobPaused":
      return names.attempt(event);
    case "AskOpened":
      return `${names.job(event)}:${event.key} by attempt ${event.attempt}`;
    case "AskApproved":
      return `${names.job(event)}:${event.key} by ${event.by}, and it wants more`;
    case "AskClosed":
      return `${names.job(event)}:${event.key}: ${event.outcome} by ${event.by}`;
  }
}

function noticeText(event: EventOf<"NoticeSent" | "NoticeFailed">, names: Names): string {
  const gate = event.key === undefined
    ? names.attempt(event) : `${names.job(event)}:${event.key}`;
  return event.type === "NoticeSent" ? gate : `${gate}, ${again(event.retryAt)}`;
}

function waitsText({ run, waits }: EventOf<"WaitAsked">, names: Names): string {
  return waits.map((wait) => {
    switch (wait.type) {
      case "jobs": return listed(wait.jobs.map((job) => names.jobId({ run, job })));
      case "ask": return `an answer to ${wait.key}`;
      case "time": return `the time ${wait.at}`;
      case "budget": return "a higher budget";
    }
  }).join(" or ");
}

function scaledText({ run, jobs, drained }: EventOf<"ServiceScaled">, names: Names): string {
  const idOf = (job: number): string => names.jobId({ run, job });
  const come = jobs.length === 0 ? [] : [`${listed(jobs.map(({ id }) => id))} more`];
  const go = drained.length === 0 ? [] : [`without ${listed(drained.map(idOf))}`];
  return [...come, ...go].join(", ");
}

/** NAME of RUN, or NAME alone if it is kept by it. */
function artifactName({ run, name }: { run?: number | undefined; name: string }, names: Names) {
  return run === undefined ? `${name} (kept)` : `${name} of ${names.run(run)}`;
}

function makerText({ byJob, byAttempt, by }: EventOf<"ArtifactPut">): string {
  if (byJob !== "") return `, from ${byJob}#${byAttempt}`;
  return by === "" ? "" : `, by ${by}`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function keyText(key: string | undefined): string {
  return key === undefined ? "" : `, key ${key}`;
}

function again(retryAt: number | undefined): string {
  return retryAt === undefined ? "for good" : "will be tried again";
}

function jobsText({ run, jobs }: { run: number; jobs: readonly number[] }, names: Names): string {
  return listed(jobs.map((job) => names.job({ run, job })));
}

function edgeText(run: number, { parent, child }: Edge, names: Names): string {
  return `${names.jobId({ run, job: parent })} before ${names.jobId({ run, job: child })}`;
}

function listed(ids: readonly string[]): string {
  const rest = ids.length - MAX_NAMED;
  return `${ids.slice(0, MAX_NAMED).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

/**
 * What else a person wants to know of it, in words of others: failures, comments. Empty for most
 * events.
 */
export function eventDetail(event: Event): string {
  switch (event.type) {
    case "JobFailed":
      return event.failure.message;
    case "JobSucceeded":
      return event.result === undefined ? "" : `result of ${event.result.length} bytes`;
    case "GateDecided":
    case "GateApproved":
    case "GateClosed":
    case "AskApproved":
    case "AskClosed":
      return event.comment;
    case "StepDone":
      return doneText(event);
    case "StepFailed":
      return event.message;
    case "AskOpened":
      return event.gate.message;
    case "OutputLost":
    case "NoticeFailed":
      return event.why;
    case "BudgetReached":
      return event.words;
    case "ServiceHealth":
    case "LaunchOrdered":
    case "LaunchRetired":
    case "LaunchStopped":
    case "LaunchEnded":
    case "UpdateFailed":
    case "ArtifactsRemoved":
      return event.reason;
    case "ArtifactPut":
      return event.sha256;
    default:
      return "";
  }
}

function doneText({ result, blob }: EventOf<"StepDone">): string {
  const bytes = blob?.size ?? result?.length ?? 0;
  return `result of ${bytes} bytes${blob === undefined ? "" : ", in a blob"}`;
}
