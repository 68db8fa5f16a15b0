/**
 * Lesson 22: jobs that take durable steps (lesson 18), and what the world outside has seen of them.
 *
 * A program that was killed in the middle of a step may go on here for a while, as a process does
 * that was only stopped: the machine is there, and its credential is still well signed. Nothing
 * that it does then may change anything.
 *
 * Invariants: a step gives one result to all attempts; one that must happen once is called once.
 * (A step that is done may still be called by an attempt that was allowed to, long ago, and hears
 * of it only now: its result is refused.)
 * Test: test/22-simulation.steps.test.ts
 */
import type { SimProcess } from "#simhost";
import { JobProgram, type StepOptions } from "#sdk";
import type { Stage } from "./stage.ts";

/** A call of a step takes so long. */
const CALL_MS = [1, 40] as const;

/** The durable steps that a program takes before anything else. */
export interface StepScript {
  readonly steps: number;
  /** Each must happen once. */
  readonly once: boolean;
  /** What each sets aside of its run's budget. */
  readonly tokens: number;
}

interface Seen {
  calls: number;
  /** What the first attempt was given that came past it. */
  given: string | undefined;
}

export class StepLedger {
  readonly #stage: Stage;
  readonly #seen = new Map<string, Seen>();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Does not resolve if the program ends to wait for more budget. */
  async take(self: SimProcess, { steps, once, tokens }: StepScript): Promise<void> {
    const { env } = self;
    const job = new JobProgram({
      master: env["TITAN_MASTER"], token: env["TITAN_TOKEN"], run: env["TITAN_RUN"],
      job: env["TITAN_JOB"], attempt: env["TITAN_ATTEMPT"],
    }, { host: this.#stage.world.host(self.host), end: () => {
      job.close();
      self.exit(0);
    } });
    const options: StepOptions = {
      ...(once ? { effect: "once", onAmbiguous: "fail" } : { effect: "idempotent" }),
      ...(tokens > 0 && { reserve: { tokens } }),
    };
    try {
      for (let step = 1; step <= steps; step++) {
        const name = `${env["TITAN_RUN"]}/${env["TITAN_JOB"]} step ${step}`;
        const since = this.#stage.now;
        const value = await job.step("s", step, ({ usage }) => {
          // At most as much as was set aside; some steps do not say.
          if (tokens > 0 && step % 3 > 0) usage({ tokensIn: tokens - (step % 5) });
          return this.#call(self, name, once);
        }, options);
        this.#gave(name, value);
        const given = { run: env["TITAN_RUN"]!, job: env["TITAN_JOB"]!, step: `s#${step}`, value };
        this.#stage.askOfRead(since, () => this.#stage.judge.gave(given));
      }
    } finally {
      job.close();
    }
  }

  async #call(self: SimProcess, name: string, once: boolean): Promise<string> {
    const seen = this.#seen.get(name) ?? { calls: 0, given: undefined };
    this.#seen.set(name, seen);
    seen.calls += 1;
    if (once && seen.calls > 1) {
      this.#stage.breaks("once-is-once", `${name} is called ${seen.calls} times`);
    }
    const value = `call ${seen.calls} at ${Math.round(this.#stage.now)}`;
    await new Promise<void>((done) => self.after(this.#stage.between(CALL_MS), done));
    return value;
  }

  #gave(name: string, value: string): void {
    // A fork gives what was called in another run: whether it may is for the judge to say.
    const seen = this.#seen.get(name) ?? { calls: 0, given: undefined };
    this.#seen.set(name, seen);
    seen.given ??= value;
    if (seen.given === value) return;
    const what = `${name} has given ${seen.given}, and gives ${value} now`;
    this.#stage.breaks("step-result-stands", what);
  }
}
