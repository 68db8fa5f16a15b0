/**
 * Lesson 22: events as lines that a person can follow: names instead of numbers.
 *
 * Test: test/22-simulation.test.ts
 */
import type { Event } from "#core";

/** What the numbers in events mean, learned from the events themselves. */
export class Names {
  readonly #runs = new Map<number, { id: string; jobs: string[] }>();
  readonly #workers = new Map<number, string>();

  learn(event: Event): void {
    if (event.type === "RunSubmitted") this.#runs.set(event.run, { id: event.id, jobs: event.spec.jobs.map((job) => job.id) });
    if (event.type === "JobsAdded") this.#runs.get(event.run)?.jobs.push(...event.jobs.map((job) => job.id));
    if (event.type === "WorkerJoined") this.#workers.set(event.worker, `${event.name} (number ${event.worker})`);
  }

  run(number: number): string {
    return this.#runs.get(number)?.id ?? `run ${number}`;
  }

  job({ run, job }: { run: number; job: number }): string {
    return `${this.run(run)}/${this.#runs.get(run)?.jobs[job] ?? job}`;
  }

  attempt(key: { run: number; job: number; attempt: number }): string {
    return `${this.job(key)}#${key.attempt}`;
  }

  worker(number: number): string {
    return this.#workers.get(number) ?? `worker ${number}`;
  }
}

/** What happened, in a line. */
export function eventText(event: Event, names: Names): string {
  names.learn(event);
  switch (event.type) {
    case "RunSubmitted": return `RunSubmitted ${event.id} with ${event.spec.jobs.length} jobs${event.key === undefined ? "" : `, key ${event.key}`}`;
    case "JobsAdded": return `JobsAdded ${names.run(event.run)}: ${event.jobs.map(({ id }) => id).join(", ")}`;
    case "JobStarted": return `JobStarted ${names.attempt(event)} on ${names.worker(event.worker)}`;
    case "JobSucceeded": return `JobSucceeded ${names.attempt(event)}`;
    case "JobFailed": return `JobFailed ${names.attempt(event)}: ${event.failure.kind}${event.retryAt === undefined ? ", for good" : ", will be tried again"}`;
    case "JobLost": return `JobLost ${names.attempt(event)}${event.dead ? ", for good" : ""}`;
    case "JobStopped": return `JobStopped ${names.attempt(event)}`;
    case "JobsCancelled": return `JobsCancelled ${names.run(event.run)}: ${event.whole ? "all of it" : event.jobs.map((job) => names.job({ run: event.run, job })).join(", ")}`;
    case "GateDecided": return `GateDecided ${names.job(event)}: ${event.approve ? "approved" : "rejected"} by ${event.by}`;
    case "RunRetried": return `RunRetried ${names.run(event.run)}: ${event.jobs.map((job) => names.job({ run: event.run, job })).join(", ")}`;
    case "WorkerJoined": return `WorkerJoined ${names.worker(event.worker)}, ${event.slots} slots`;
    case "WorkerLost": return `WorkerLost ${names.worker(event.worker)}: ${event.reason}`;
    case "WorkerDrained": return `WorkerDrained ${names.worker(event.worker)}: ${event.on ? "nothing new" : "undone"}`;
    case "TimePassed": return "TimePassed";
    case "RunsForgotten": return `RunsForgotten ${event.runs.join(", ")}`;
  }
}
