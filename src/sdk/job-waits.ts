/**
 * Lesson 18: what a job asks for while it runs: more jobs, their results, an answer, time.
 *
 *     spawn ─▶ jobs of the own run       results, settled ─┐
 *     ask ───▶ a question to people      its answer ───────┼──▶ a *blocker*
 *     sleep ─▶ a moment                  that moment ──────┘
 *
 * A blocker that is met gives its value at once. When nothing but blockers is left to do, the
 * program is over for now: the master is told what it waits for, and the process ends. Its slot is
 * free. When one of the blockers is met, the program is started again, from its top: what it has
 * done it finds by its keys, and comes to the same place.
 *
 * Invariants: no process ends while one of its calls is under way (`busy`); a call that begins
 * while the master is asked waits for what it says, because the process may be about to end.
 * Left out: other work that a program has under way beside its blockers, such as a plain `fetch`.
 * It belongs into a step; else it is cut off, and begins again in the next attempt.
 * Test: test/18-agents.sdk.test.ts
 */
import { typedValues } from "#gates";
import type { Host } from "#host";
import { definePipeline } from "#pipeline";
import { RpcError } from "#rpc";
import {
  isTerminal, MAX_SPAWN_JOBS, resultValue, rulesOf, type Decision, type Gate, type JobInfo,
  type JobStatus, type Spent, type WaitWish,
} from "#wire";
import type { Client } from "./client.ts";
import type { JobInput } from "./input.ts";
import { toSpec } from "./spec.ts";
import { spawnWish, type SpawnOptions } from "./spawn-wish.ts";

export type { SpawnOptions } from "./spawn-wish.ts";

const nothing = (): void => undefined;

/** What a job has added under a key. */
export interface SpawnedJobs {
  readonly key: string;
  /** Their ids, in the order in which they were given. */
  readonly jobs: readonly string[];
}

export interface Question {
  readonly message: string;
  readonly form?: NonNullable<JobInput["hitl"]>["form"];
  /** Short for a form of one field "choice" that must be filled in. */
  readonly choices?: readonly string[];
  readonly approvers?: string | readonly string[];
  readonly required?: number;
  /** Seconds, or a text such as "2h". Default: two days. */
  readonly timeout?: number | string;
  readonly onTimeout?: "reject" | "approve" | "skip";
  readonly selfApproval?: boolean;
  /** How people hear of it: a program of the master's machine, or an address of the web. */
  readonly notify?: NonNullable<JobInput["hitl"]>["notify"];
}

export interface Answer {
  readonly outcome: "approved" | "rejected" | "skipped";
  readonly approved: boolean;
  readonly by: string;
  readonly comment: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The form as it was filled in. */
  readonly fields: Readonly<Record<string, string | number | boolean>>;
  /** Of a question with `choices`. */
  readonly choice?: string;
}

export interface SettledJob<T = unknown> {
  readonly id: string;
  readonly status: JobStatus;
  readonly result: T | undefined;
  readonly failure: string | undefined;
}

export interface HoldOptions {
  /** Keep the slot, and look again and again. Default: end, and go on in another attempt. */
  readonly hold?: boolean;
}

/** What the session of a job gives. */
export interface JobDoor {
  readonly run: string;
  readonly host: Pick<Host, "timers" | "clock">;
  readonly client: Pick<Client, "spawn" | "ask" | "pause" | "status">;
  /** A durable step: `fn` runs once, and its result is there in every later attempt. */
  step<T>(name: string, input: unknown, fn: () => T): Promise<T>;
  /** Waits keep the slot, whatever they say themselves. */
  readonly hold?: boolean;
  /** Throws if a step is under way that has called this. Default: none has. */
  checkOutside?(doing: string): void;
  /** Ends this process with exit code 0, its output written. Does not come back. */
  end(): void;
}

interface Blocker {
  readonly wish: WaitWish;
  resolve(): void;
  reject(error: unknown): void;
}

/** A program that holds its slot looks this often at first, and half as often each time. */
const FIRST_LOOK_MS = 100;
const LAST_LOOK_MS = 2000;

const NOTHING: Spent = { jobs: 0, steps: 0, tokens: 0, usdMicros: 0 };

export class JobWaits {
  readonly #door: JobDoor;
  #busy = 0;
  #blockers: Blocker[] = [];
  #planned = false;
  /** Over when the next piece of work may begin. */
  #turn: Promise<void> = Promise.resolve();
  /** Set while the master is asked whether to end. */
  #pausing: Promise<void> | undefined;

  constructor(door: JobDoor) {
    this.#door = door;
  }

  // #region busy
  /**
   * Something that the process must not end in the middle of: a step, a request. All that uses the
   * session of a job goes through here.
   */
  async track<T>(work: () => Promise<T> | T): Promise<T> {
    await this.#pausing;
    this.#busy += 1;
    try {
      return await work();
    } finally {
      this.#busy -= 1;
      this.#look();
    }
  }

  /** The same, and what a budget does not allow waits until there is room for it. */
  async withBudget<T>(need: Partial<Spent>, work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await this.track(work);
      } catch (error) {
        if (!(error instanceof RpcError) || error.code !== "BUDGET") throw error;
        const wish: WaitWish = { type: "budget", need: { ...NOTHING, ...need } };
        if (this.#door.hold === true) await this.#pauseFor(LAST_LOOK_MS);
        else await this.#blocked(wish);
      }
    }
  }

  async #blocked(wish: WaitWish): Promise<void> {
    this.#door.checkOutside?.("wait");
    return new Promise((resolve, reject) => {
      this.#blockers.push({ wish, resolve, reject });
      this.#look();
    });
  }

  /** Not at once: what has just been resolved may go on to something else. */
  #look(): void {
    if (this.#planned || this.#blockers.length === 0) return;
    this.#planned = true;
    const { soon } = this.#door.host.timers;
    soon(() => soon(() => {
      this.#planned = false;
      if (this.#busy > 0 || this.#blockers.length === 0 || this.#pausing !== undefined) return;
      this.#pausing = Promise.resolve().then(() => this.#pause()).finally(() => {
        this.#pausing = undefined;
        this.#look();
      });
    }));
  }

  async #pause(): Promise<void> {
    const asked = [...this.#blockers];
    try {
      const met = await this.#door.client.pause(asked.map(({ wish }) => wish));
      if (met.length === 0) {
        this.#door.end();
        return new Promise(() => undefined);
      }
      const done = new Set(met.map((index) => asked[index]!));
      this.#blockers = this.#blockers.filter((blocker) => !done.has(blocker));
      for (const blocker of done) blocker.resolve();
    } catch (error) {
      this.#blockers = this.#blockers.filter((blocker) => !asked.includes(blocker));
      for (const blocker of asked) blocker.reject(error);
    }
  }
  // #endregion

  /** Adds jobs to the own run. The same key adds nothing again, and gives the same jobs. */
  async spawn(
    key: string, jobs: readonly JobInput[], options: SpawnOptions = {},
  ): Promise<SpawnedJobs> {
    const wish = await this.track(() => this.#inTurn(() => spawnWish(key, jobs, options)));
    const need = { jobs: wish.jobs.length };
    await this.withBudget(need, () => this.#door.client.spawn(wish));
    return { key, jobs: wish.jobs.map(({ id }) => id) };
  }

  /**
   * One piece of work in each turn of the event loop. A program that adds a hundred lists at once
   * has the first on its way while it makes the second, so the master need not wait for the last.
   */
  #inTurn<T>(work: () => T): Promise<T> {
    const { soon } = this.#door.host.timers;
    const done = this.#turn.then(work);
    this.#turn = done.then(nothing, nothing).then(() => new Promise((next) => void soon(next)));
    return done;
  }

  /** Waits for these jobs, and gives what they have handed in. Throws if one did not complete. */
  async results<T = unknown>(
    jobs: SpawnedJobs | readonly string[], options: HoldOptions = {},
  ): Promise<T[]> {
    const settled = await this.settled<T>(jobs, options);
    const failed = settled.find(({ status }) => status !== "COMPLETED" && status !== "RUNNING");
    if (failed === undefined) return settled.map(({ result }) => result as T);
    throw new JobFailed(failed);
  }

  /** Waits for these jobs, and says how each of them has ended. */
  async settled<T = unknown>(
    jobs: SpawnedJobs | readonly string[], options: HoldOptions = {},
  ): Promise<SettledJob<T>[]> {
    const ids = [..."key" in jobs ? jobs.jobs : jobs];
    if (ids.length === 0) return [];
    const isOver = async (): Promise<boolean> => (await this.#infos(ids)).every(hasSettled);
    if (this.#holds(options)) await this.#until(isOver);
    else await this.#blocked({ type: "jobs", jobs: ids });
    return (await this.#infos(ids)).map((info) => settledJob<T>(info));
  }

  async #infos(ids: readonly string[]): Promise<JobInfo[]> {
    const { client, run } = this.#door;
    const found: JobInfo[] = [];
    for (let at = 0; at < ids.length; at += MAX_SPAWN_JOBS) {
      const some = ids.slice(at, at + MAX_SPAWN_JOBS);
      found.push(...(await this.track(() => client.status(run, undefined, some))).jobs);
    }
    return found;
  }

  /** Asks people. The same key asks nothing again, and gives the same answer. */
  async ask(key: string, question: Question, options: HoldOptions = {}): Promise<Answer> {
    // Before anybody is asked, and then nobody waits for the answer.
    if (!this.#holds(options)) this.#door.checkOutside?.("ask");
    const gate = gateOf(question);
    const look = () => this.track(() => this.#door.client.ask(key, gate));
    let { decision } = await look();
    if (decision === undefined && this.#holds(options)) {
      await this.#until(async () => (decision = (await look()).decision) !== undefined);
    }
    while (decision === undefined) {
      await this.#blocked({ type: "ask", key });
      ({ decision } = await look());
    }
    return answerOf(gate, decision);
  }

  /** Goes on after so many milliseconds, counted from the first attempt that came here. */
  async sleep(key: string, ms: number, options: HoldOptions = {}): Promise<void> {
    const { clock } = this.#door.host;
    const at = await this.#door.step(`sleep:${key}`, ms, () => clock.wall() + ms);
    if (this.#holds(options)) return this.#until(async () => clock.wall() >= at);
    if (clock.wall() < at) await this.#blocked({ type: "time", at });
  }

  #holds({ hold = false }: HoldOptions): boolean {
    return hold || this.#door.hold === true;
  }

  /** Holds the slot. */
  async #until(isMet: () => Promise<boolean>): Promise<void> {
    for (let pause = FIRST_LOOK_MS; !(await isMet()); pause = Math.min(2 * pause, LAST_LOOK_MS)) {
      await this.#pauseFor(pause);
    }
  }

  #pauseFor(ms: number): Promise<void> {
    const { timers } = this.#door.host;
    return this.track(() => new Promise<void>((resolve) => void timers.after(ms, resolve)));
  }
}

/** One of the jobs that were waited for did not complete. */
export class JobFailed extends Error {
  override readonly name = "JobFailed";
  readonly job: string;
  readonly status: JobStatus;

  constructor({ id, status, failure }: SettledJob) {
    const why = failure === undefined ? "" : `: ${failure}`;
    super(`Cannot give the results: job "${id}" is ${status}${why}`);
    this.job = id;
    this.status = status;
  }
}

function hasSettled({ status, service }: JobInfo): boolean {
  return isTerminal(status) || service?.phase === "READY";
}

function settledJob<T>({ id, status, result, failure }: JobInfo): SettledJob<T> {
  const value = result === undefined ? undefined : resultValue(result) as T;
  return { id, status, result: value, failure: failure?.message };
}

/** The rules of a question are those of a gate, and are read by the same reader. */
export function gateOf(question: Question): Gate {
  const { message, choices, onTimeout, selfApproval, form, ...rest } = question;
  const field = choices && { name: "choice", choices, required: true };
  const hitl = {
    message, ...rest,
    ...((form ?? field) && { form: [...(form ?? []), ...(field ? [field] : [])] }),
    ...(onTimeout && { on_timeout: onTimeout }),
    ...(selfApproval !== undefined && { self_approval: selfApproval }),
  };
  const job = { id: "ask", command: ["true"], hitl };
  return toSpec(definePipeline({ name: "ask", project: false, jobs: [job] })).jobs[0]!.gate!;
}

function answerOf(gate: Gate, decision: Decision): Answer {
  const { approved, skipped, by, comment, at, values } = decision;
  const outcome = approved ? "approved" : skipped === true ? "skipped" : "rejected";
  const fields = typedValues(rulesOf(gate).form, values);
  const { choice } = fields;
  const chosen = typeof choice === "string" ? { choice } : {};
  return { outcome, approved, by, comment, at, fields, ...chosen };
}
