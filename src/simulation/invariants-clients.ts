/**
 * Lesson 22: what clients and programs were told, against what the log says at that moment.
 *
 * Invariants: those of invariants.ts.
 * Test: test/22-simulation.invariants.test.ts
 */
import type { Decision, JobStatus } from "#wire";
import type { Model, ModelJob, ModelRun } from "./model.ts";
import * as steps from "./model-steps.ts";

/** A promise that a client was given. `run` is a run's id, `gate` is RUN/JOB. */
export type Acknowledgement =
  | { what: "submit"; run: string; key?: string | undefined; jobs: number; existing: boolean }
  | { what: "cancel"; run: string; job?: string | undefined }
  | { what: "gate"; gate: string; decision: Decision }
  | { what: "retry"; run: string; jobs: number }
  | { what: "add"; run: string; jobs: number };

export class ToldClients {
  readonly #model: Model;
  /** The run that each key has meant to clients. */
  readonly #keys = new Map<string, ModelRun>();

  constructor(model: Model) {
    this.#model = model;
  }

  // #region acknowledged
  /** A client has its answer, now: the log must already say the same. */
  acknowledged(ack: Acknowledgement): void {
    switch (ack.what) {
      case "submit": return this.#submitted(ack);
      case "cancel": return this.#cancelled(ack);
      case "gate": return this.#decided(ack);
      case "retry": {
        if (this.#run(ack.run, "retried").retries.includes(ack.jobs)) return;
        return this.#model.fail(
          "acknowledged-is-durable",
          `a client was told that ${ack.jobs} jobs of ${ack.run} are tried again, which is not ` +
            "in the log",
        );
      }
      case "add": {
        if (this.#run(ack.run, "given jobs").additions.includes(ack.jobs)) return;
        return this.#model.fail(
          "acknowledged-is-durable",
          `a client was told that ${ack.run} has ${ack.jobs} more jobs, which are not in the log`,
        );
      }
    }
  }
  // #endregion

  #run(id: string, what: string): ModelRun {
    return (
      this.#model.runsById.get(id) ??
      this.#model.fail(
        "acknowledged-is-durable",
        `a client was told that ${id} is ${what}, and the log has no such run`,
      )
    );
  }

  #job(run: ModelRun, id: string, what: string): ModelJob {
    return (
      run.jobsById.get(id) ??
      this.#model.fail(
        "acknowledged-is-durable",
        `a client was told that ${run.id}/${id} is ${what}, and the log has no such job`,
      )
    );
  }

  #submitted({ run: id, key, jobs, existing }: Extract<Acknowledgement, { what: "submit" }>): void {
    // #exercise submitted
    const run = this.#run(id, "submitted");
    if (run.key !== key) {
      this.#model.fail(
        "one-key-one-run",
        `a client submitted with key ${key ?? "(none)"} and was given ${id}, whose key is ` +
          `${run.key ?? "(none)"}`,
      );
    }
    if (run.submitted !== jobs) {
      this.#model.fail(
        "acknowledged-is-durable",
        `a client submitted ${jobs} jobs as ${id}, and the log has ${run.submitted}`,
      );
    }
    if (key === undefined) {
      return existing
        ? this.#model.fail(
            "one-key-one-run",
            `a client without a key was given ${id} as if it had submitted it before`,
          )
        : undefined;
    }
    const first = this.#keys.get(key);
    if (first !== undefined && first !== run && this.#model.at < first.keyUntil) {
      this.#model.fail(
        "one-key-one-run",
        `key "${key}" was answered with ${first.id}, and now with ${id}`,
      );
    }
    this.#keys.set(key, run);
    // #end-exercise
  }

  #cancelled({ run: id, job: name }: Extract<Acknowledgement, { what: "cancel" }>): void {
    const run = this.#run(id, "cancelled");
    const jobs = name === undefined ? run.jobs : [this.#job(run, name, "cancelled")];
    // An ended job or run cannot be cancelled, and the answer is the same.
    const done = name === undefined && (run.everCancelled || run.everEnded);
    if (!done && !jobs.some((job) => job.everCancelled || job.ends.size > 0)) {
      this.#model.fail(
        "acknowledged-is-durable",
        `a client was told that ${name === undefined ? id : jobs[0]} is cancelled, which is not ` +
          "in the log",
      );
    }
  }

  #decided({ gate, decision }: Extract<Acknowledgement, { what: "gate" }>): void {
    const [, run, id, key] = /^([^/]*)\/([^:#]*)(?::(.*?))?(?:#\d+)?$/s.exec(gate)!;
    const job = this.#job(this.#run(run!, "decided"), id!, "decided");
    const { approved, by, comment, at, already, missing = 0 } = decision;
    if (missing > 0) {
      if (job.everApproved.has(`${by} at ${at}`)) return;
      const told = `a client was told that ${by} has approved gate ${gate} at ${at}`;
      return this.#model.fail("acknowledged-is-durable", `${told}, and the log does not say so`);
    }
    const words = `that gate ${gate} was ${approved ? "approved" : "rejected"} by ${by} at ${at}`;
    // There is more than one only if a person retried the job, and it came to its gate again within
    // a millisecond.
    const made = job.decisions.filter((each) => each.key === key);
    const found = made.filter(
      (made) =>
        made.at === at && made.approved === approved && made.by === by && made.comment === comment,
    );
    if (found.length === 0) {
      const log = made
        .map((made) => `${made.approved ? "approved" : "rejected"} by ${made.by} at ${made.at}`)
        .join(", ");
      return this.#model.fail(
        log === "" ? "acknowledged-is-durable" : "gate-decided-once",
        `a client was told ${words}, and the log says: ${log || "nothing"}`,
      );
    }
    if (already) return;
    const first =
      found.find(({ acknowledged }) => !acknowledged) ??
      this.#model.fail(
        "gate-decided-once", `two clients were told ${words}, each that it was the first`,
      );
    first.acknowledged = true;
  }

  /**
   * A client was shown a job. The log must say that this has happened; an end that was shown is
   * final.
   */
  seen(info: { run: string; job: string; status: JobStatus; attempt: number }): void {
    const { status, attempt } = info;
    const job = this.#job(this.#run(info.run, "there"), info.job, status);
    if (attempt > job.attempt) {
      this.#model.fail(
        "dispatched-is-durable",
        `a client was shown attempt ${attempt} of ${job}, and the log has ${job.attempt}`,
      );
    }
    const ended = status !== "PENDING" && status !== "RUNNING" && status !== "WAITING";
    if (ended && !job.ends.has(status)) {
      this.#model.fail(
        "acknowledged-is-durable",
        `a client was shown ${job} as ${status}, and in the log it is ${job.status}`,
      );
    }
  }

  /** A program was given this value by one of its durable steps. */
  gave(at: { run: string; job: string; step: string; value: unknown }): void {
    const job = this.#job(this.#run(at.run, "there"), at.job, "RUNNING");
    steps.gave(this.#model, job, at.step, at.value);
  }
}
