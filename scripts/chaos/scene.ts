/**
 * The scene of a plan's clients (lesson 22) outside of the simulation: real time, and connections
 * through the proxies. Nobody judges yet: the answers that clients get are kept in their order.
 */
import { nodeHost, type Random, type Timer, type Timers } from "#host";
import { connect, type Client } from "#sdk";
import type { Acknowledgement, Broken, Invariant, JobPlan, Plan, Scene } from "#simulation";
import type { JobSpec, JobStatus } from "#wire";
import { shellJob } from "./programs.ts";

/** Something that a client was told, in the words of lesson 22's judge. */
export type Told =
  | Acknowledgement
  | { what: "seen"; run: string; job: string; status: JobStatus; attempt: number }
  | { what: "hash"; seq: number; hash: string };

/** A lost answer is asked for again, over another connection: that is what we are here for. */
const ANSWER_MS = 2500;

export interface SceneOptions {
  /** The folder of the jobs' files. */
  readonly effects: string;
  /** Where a client finds the master. */
  readonly portOf: (client: string) => number;
  readonly onBroken: (broken: Broken) => void;
}

export class RealScene implements Scene {
  readonly plan: Plan;
  readonly told: Told[] = [];
  readonly judge: Scene["judge"] = {
    acknowledged: (ack) => void this.told.push(ack),
    seen: (info) => void this.told.push({ what: "seen", ...info }),
    hash: (live) => void this.told.push({ what: "hash", ...live }),
  };
  readonly diskIsFull = false;
  healing = false;
  broken: Broken | undefined;
  readonly #host = nodeHost();
  readonly #begun = performance.now();
  readonly #options: SceneOptions;

  constructor(plan: Plan, options: SceneOptions) {
    this.plan = plan;
    this.#options = options;
  }

  get random(): Random {
    return this.#host.random;
  }

  get now(): number {
    return performance.now() - this.#begun;
  }

  note(): void {}

  ask(question: () => void): void {
    question();
  }

  askOfRead(_since: number, question: () => void): void {
    question();
  }

  breaks(invariant: Invariant, message: string): void {
    if (this.broken !== undefined) return;
    this.broken = { invariant, message, atMs: Math.round(this.now) };
    this.#options.onBroken(this.broken);
  }

  after(ms: number, fn: () => void): Timer {
    return this.#host.timers.after(ms, fn);
  }

  timersOf(): Timers {
    return this.#host.timers;
  }

  connect(client: string): Promise<Client> {
    const master = { host: "127.0.0.1", port: this.#options.portOf(client) };
    return connect({ host: this.#host, master, timeoutMs: ANSWER_MS });
  }

  jobSpec(job: JobPlan): JobSpec {
    return shellJob(job, this.#options.effects);
  }
}
