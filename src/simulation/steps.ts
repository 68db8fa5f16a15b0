/**
 * Lesson 22: what clients ask for, and what they tell the judge about the answers.
 *
 * Invariant: the judge hears of an answer in the event in which the client has it: not earlier,
 * which would accuse a master of what it never said; not later, when a crash may have hidden it.
 * Test: test/22-simulation.test.ts
 */
import type { AddedJob, Client } from "#sdk";
import type { JobStatus } from "#wire";
import type { Answer, PatientClient } from "./clients.ts";
import { specOf, type Step } from "./plan.ts";
import type { Scene } from "./scene.ts";

/** Between two looks of somebody who waits for a run to exist, or for a gate to open. */
const LOOK_MS = 250;

export class Steps {
  readonly #scene: Scene;
  readonly #clients: readonly PatientClient[];
  readonly #snapshot: () => void;
  /** Ids of acknowledged runs, by key. */
  readonly runs = new Map<string, string>();
  /** Submissions without an answer. */
  unanswered = 0;

  /** `snapshot`: makes the master take one. */
  constructor(
    scene: Scene,
    options: { clients: readonly PatientClient[]; snapshot: () => void },
  ) {
    this.#scene = scene;
    this.#clients = options.clients;
    this.#snapshot = options.snapshot;
  }

  /**
   * Begins one step. A step does nothing if what it needs is not there (any more, in a shrunk
   * plan).
   */
  begin(step: Step): void {
    const client = this.#clients[(step.client - 1) % this.#clients.length]!;
    switch (step.do) {
      case "submit": return this.#submit(client, step.run);
      case "deploy": return this.#submit(client, step.run, step.updateMs);
      case "scale": return this.#version(client, `scales ${step.service}`, (master) =>
        master.scale(step.service, step.replicas, { by: client.name }));
      case "rollback": return this.#version(client, `rolls ${step.service} back`, (master) =>
        master.rollback(step.service, { updateMs: step.updateMs, by: client.name }));
      case "stop-name": return this.#version(client, `stops ${step.service}`, (master) =>
        master.stop(step.service, { by: client.name }));
      case "cancel":
        return this.#onRun(client, step, async (run) => this.#cancel(client, run, step.job));
      case "retry":
        return this.#onRun(client, step, async (run) => this.#retry(client, run, step.from));
      case "add":
        return this.#onRun(client, step, async (run) => {
          const [first, ...rest] = step.jobs.map((job) => this.#scene.jobSpec(job));
          const { before = [] } = step;
          if (first !== undefined) await this.#add(client, run, [{ ...first, before }, ...rest]);
        });
      case "gate":
        return this.#onRun(client, step, async (run) =>
          this.#gate(client, { gate: `${run}/${step.job}`, approve: step.approve }),
        );
      case "fork": return this.#onRun(client, step, (run) => this.#fork(client, run, step.which));
      case "status": return this.#onRun(client, step, (run) => this.look(client, run));
      case "watch": return this.#onRun(client, step, (run) => this.#watch(client, run));
      case "stop":
      case "restart":
        return this.#onRun(client, step, (run) => this.#wish(client, step.do, run));
      case "logs":
        return this.#onRun(client, step, (run) => this.#logs(client, { run, job: step.job }));
      case "hash": return void this.hash(client);
      case "snapshot": return this.#snapshot();
      case "runs": return void this.#try(client, "lists runs", (master) => master.runs());
      case "workers": return void this.#try(client, "lists workers", (master) => master.workers());
      case "gates": return void this.#try(client, "lists gates", (master) => master.gates());
      case "dead":
        return void this.#try(client, "lists dead letters", (master) => master.deadLetters());
      case "drain": return void this.drain(client, step.worker, step.undo);
      case "launch": return void this.#launch(client, step.pool);
      case "retire": return void this.#retire(client, step.worker);
      case "raise": return this.#raise(client, step);
      case "pools": return void this.#try(client, "lists pools", (master) => master.pools());
    }
  }

  /** An operation that the client drops when the faults are over. */
  async #try<T>(
    client: PatientClient,
    what: string,
    work: (master: Client) => Promise<T>,
  ): Promise<Answer<T>> {
    const answer = await client.perform(what, work, () => this.#scene.healing);
    this.#scene.note(`${client.name} ${what}${answer.ok ? "" : `: ${answer.refused.code}`}`);
    return answer;
  }

  // ── submissions ────────────────────────────────────────────────────────────────────────────────

  /** `updateMs`: its services may have names that are in use, which can be refused. */
  #submit(client: PatientClient, key: string, updateMs?: number): void {
    const { plan, judge } = this.#scene;
    const pipeline = plan.pipelines.find((other) => other.key === key);
    if (pipeline === undefined) return;
    const spec = specOf(pipeline, (job) => this.#scene.jobSpec(job));
    this.unanswered += 1;
    this.#scene.note(`${client.name} submits ${key}`);
    void client
      .perform(`submit ${key}`, (master) => master.submitSpec(spec, { key, updateMs }))
      .then((answer) => {
        this.unanswered -= 1;
        // A budget may have no room for another run.
        const isBraked = pipeline.agent !== undefined;
        if (!answer.ok && (updateMs !== undefined || isBraked)) {
          return this.#scene.note(`${client.name} is refused: ${answer.refused.message}`);
        }
        if (!answer.ok) {
          return this.#scene.breaks(
            "no-crash",
            `the submission of ${key} was refused: ${answer.refused.message}`,
          );
        }
        const { run, existing } = answer.value;
        this.#scene.note(
          `${client.name} has the acknowledgement that ${key} is run ` +
            `${run}${existing ? ", as before" : ""}`,
        );
        this.runs.set(key, run);
        this.#scene.ask(() =>
          judge.acknowledged({ what: "submit", run, key, jobs: pipeline.jobs.length, existing }),
        );
      });
  }

  #raise(client: PatientClient, step: Extract<Step, { do: "raise" }>): void {
    const { group, what, amount } = step;
    const change = { what, amount, add: true };
    void this.#try(client, `raises ${what} of ${group}`, (master) =>
      master.raiseBudget(group, [change], { by: client.name }));
  }

  /** Waits for the run of that key, then does something with it. */
  #onRun(
    client: PatientClient,
    step: { readonly run: string },
    work: (run: string) => Promise<void>,
  ): void {
    const run = this.runs.get(step.run);
    if (run !== undefined) return void work(run);
    const { plan } = this.#scene;
    if (this.#scene.healing || !plan.pipelines.some((pipeline) => pipeline.key === step.run)) {
      return;
    }
    this.#scene.after(LOOK_MS, () => this.#onRun(client, step, work));
  }

  // ── changes ────────────────────────────────────────────────────────────────────────────────────

  async #cancel(client: PatientClient, run: string, job: string | undefined): Promise<void> {
    const answer = await this.#try(
      client,
      `cancels ${job === undefined ? run : `${run}/${job}`}`,
      (master) => master.cancel(run, job),
    );
    if (answer.ok) {
      this.#scene.ask(() =>
        this.#scene.judge.acknowledged({ what: "cancel", run, ...(job !== undefined && { job }) }),
      );
    }
  }

  async #wish(client: PatientClient, what: "stop" | "restart", run: string): Promise<void> {
    const by = client.name;
    await this.#try(client, `${what}s the services of ${run}`, (master) =>
      what === "stop" ? master.stop(run, { by }) : master.restart(run, { by }),
    );
  }

  #version(
    client: PatientClient, what: string, change: (master: Client) => Promise<unknown>,
  ): void {
    void this.#try(client, what, change);
  }

  async #retry(client: PatientClient, run: string, from: string | undefined): Promise<void> {
    const answer = await this.#try(
      client,
      `retries ${run}${from === undefined ? "" : ` from ${from}`}`,
      (master) => master.retry(run, from),
    );
    if (answer.ok) {
      this.#scene.ask(() =>
        this.#scene.judge.acknowledged({ what: "retry", run, jobs: answer.value }),
      );
    }
  }

  /** A fork whose answer is lost is made again, and then there are two. */
  async #fork(client: PatientClient, run: string, which: number): Promise<void> {
    await this.#try(client, `forks ${run}`, async (master) => {
      const steps = await master.steps(run);
      const step = steps[which % Math.max(1, steps.length)];
      if (step === undefined) return;
      await master.fork(run, `${step.job}:${step.name}#${step.ordinal}`, { by: client.name });
    });
  }

  async #add(client: PatientClient, run: string, jobs: AddedJob[]): Promise<void> {
    const answer = await this.#try(client, `adds ${jobs.length} jobs to ${run}`, (master) =>
      master.addJobs(run, jobs),
    );
    if (answer.ok) {
      this.#scene.ask(() =>
        this.#scene.judge.acknowledged({ what: "add", run, jobs: answer.value }),
      );
    }
  }

  async #gate(
    client: PatientClient,
    { gate, approve }: { gate: string; approve: boolean },
  ): Promise<void> {
    for (;;) {
      const gates = await client.perform(
        "looks for a gate",
        (master) => master.gates(),
        () => this.#scene.healing,
      );
      if (!gates.ok) return;
      if (gates.value.some(({ id }) => id.replace(/#\d+$/, "") === gate)) break;
      await new Promise<void>((resolve) => void this.#scene.after(LOOK_MS, resolve));
    }
    await this.decide(client, gate, approve);
  }

  /** Answers a gate that was open a moment ago. */
  async decide(client: PatientClient, gate: string, approve: boolean): Promise<void> {
    const answer = await this.#try(
      client,
      `${approve ? "approves" : "rejects"} ${gate}`,
      (master) => master.decide(gate, { approve, by: client.name }),
    );
    if (answer.ok) {
      this.#scene.ask(() =>
        this.#scene.judge.acknowledged({ what: "gate", gate, decision: answer.value }),
      );
    }
  }

  async drain(client: PatientClient, worker: string, undo: boolean): Promise<void> {
    await this.#try(client, `${undo ? "ends the drain of" : "drains"} ${worker}`, (master) =>
      master.drain(worker, { undo }),
    );
  }

  // The judge hears of both when they are asked for: an answer may never come.

  async #launch(client: PatientClient, pool: string): Promise<void> {
    await this.#try(client, `launches a worker of ${pool}`, (master) => {
      this.#scene.judge.pools?.wished(pool);
      return master.launch(pool, { by: client.name });
    });
  }

  async #retire(client: PatientClient, worker: string): Promise<void> {
    await this.#try(client, `retires ${worker}`, (master) => {
      this.#scene.judge.pools?.unwanted(worker);
      return master.retire(worker, { by: client.name });
    });
  }

  // ── looks ──────────────────────────────────────────────────────────────────────────────────────

  /** Asks for a status, and tells the judge of every job in it. */
  async look(client: PatientClient, run: string): Promise<void> {
    let since = 0;
    const answer = await this.#try(client, `looks at ${run}`, (master) => {
      since = this.#scene.now;
      return master.status(run);
    });
    if (answer.ok) for (const job of answer.value.jobs) this.#saw({ run, job: job.id, since }, job);
  }

  #saw(
    what: { run: string; job: string; since: number },
    {
      status,
      attempt,
    }: { status: JobStatus; attempt: number },
  ): void {
    const { run, job, since } = what;
    this.#scene.askOfRead(since, () => this.#scene.judge.seen({ run, job, status, attempt }));
  }

  /** Follows a run, again and again when the line breaks. */
  async #watch(client: PatientClient, run: string): Promise<void> {
    await this.#try(client, `watches ${run}`, async (master) => {
      const since = this.#scene.now;
      for await (const news of master.watch(run)) {
        if (this.#scene.healing) return;
        if (news.type === "snapshot") {
          for (const job of news.jobs) this.#saw({ run, job: job.id, since }, job);
        }
        // A change to FAILED may be of an attempt: the next change says whether the job has another
        // one.
        if (news.type === "job" && news.change.status !== "FAILED") {
          this.#saw({ run, job: news.job, since }, news.change);
        }
      }
    });
  }

  async #logs(client: PatientClient, { run, job }: { run: string; job: string }): Promise<void> {
    await this.#try(client, `reads the output of ${run}/${job}`, async (master) => {
      for await (const chunk of master.logs(run, job)) void chunk;
    });
  }

  /** The master's own hash of its memory. */
  async hash(client: PatientClient): Promise<void> {
    const answer = await this.#try(client, "asks for the hash", (master) =>
      master.info({ hash: true }),
    );
    if (answer.ok) {
      this.#scene.ask(() =>
        this.#scene.judge.hash({ seq: answer.value.nextSeq - 1, hash: answer.value.stateHash }),
      );
    }
  }
}
