/**
 * Lesson 22: one simulated life, from a plan to a verdict.
 *
 *     safety     steps and faults at their times; the judge watches everything
 *     liveness   all is mended, and everything that was accepted must come to its end, within
 *                VIRTUAL_BOUND_MS
 *     finale     the master is taken down once more, and must remember all of it
 *
 * The two phases ask different questions. While things break, nothing wrong may happen; that
 * nothing happens at all would pass that. Only afterwards can one ask that something does.
 *
 * Test: test/22-simulation.test.ts
 */
import { Cluster } from "./cluster.ts";
import { SimClient } from "./clients.ts";
import { Faults } from "./faults.ts";
import { LogWatch } from "./log-watch.ts";
import type { Plan } from "./plan.ts";
import { scriptedProgram } from "./programs.ts";
import { Stage, type Broken } from "./stage.ts";
import { Steps } from "./steps.ts";

/**
 * Time for everything to end once nothing is broken any more: the longest job, its retries, and
 * leases, many times over.
 */
const VIRTUAL_BOUND_MS = 10 * 60_000;

/**
 * On one connection: an attempt has one batch of output (256 KiB) under way, a worker has three
 * slots, and a quarter is for all else.
 */
const CONNECTION_BOUND_BYTES = 1024 * 1024;

/**
 * Every so many seeds all prefixes of the log are folded, at every so many events: it takes as long
 * as half the life.
 */
const PREFIXES = { seeds: 8, events: 5 };

/** How often the world is left to look whether something broke. */
const LOOK_MS = 100;

/** Between two looks at whether all runs have ended. */
const POLL_MS = 400;

export interface Outcome {
  readonly seed: number;
  readonly violation: Broken | undefined;
  /** Equal for equal plans, to the last byte that was sent. */
  readonly traceHash: string;
  readonly virtualMs: number;
  /** Steps of virtual time. */
  readonly events: number;
  /** By kind, as far as they happened. */
  readonly faults: Readonly<Record<string, number>>;
  /** What the judge has counted. */
  readonly stats: Readonly<Record<string, number>>;
  /** The last lines of what happened, for people. */
  readonly trace: readonly string[];
}

/** Lives one life. Never rejects for what goes wrong in it: that is the outcome. */
export async function simulate(plan: Plan): Promise<Outcome> {
  const life = new Life(plan);
  const { stage } = life;
  const stray = (error: unknown): void =>
    stage.breaks(
      "no-crash",
      `nobody handled this rejection: ${error instanceof Error ? error.stack : String(error)}`,
    );
  process.on("unhandledRejection", stray);
  try {
    await life.run();
  } catch (error) {
    stage.breaks("no-crash", `thrown into the event loop: ${(error as Error).stack}`);
  } finally {
    process.off("unhandledRejection", stray);
  }
  return {
    seed: plan.seed,
    violation: stage.broken,
    traceHash: stage.world.traceHash,
    virtualMs: Math.round(stage.world.now),
    events: stage.world.events,
    faults: stage.faults,
    stats: { ...stage.judge.stats },
    trace: stage.lines,
  };
}

class Life {
  readonly stage: Stage;
  readonly #cluster: Cluster;
  readonly #clients: SimClient[];
  readonly #steps: Steps;
  readonly #faults: Faults;
  readonly #watch: LogWatch;

  constructor(plan: Plan) {
    this.stage = new Stage(plan, (stage) => scriptedProgram({
      foldersOf: (host) => this.#cluster.foldersOf(host),
      crash: (host) => this.#crashedByJob(stage, host),
    }));
    const { stage } = this;
    this.#cluster = new Cluster(stage);
    this.#watch = new LogWatch(stage);
    this.#cluster.onMaster = () => this.#watch.readAgain();
    this.#clients = Array.from({ length: plan.clients }, (_, index) => {
      const name = `c${index + 1}`;
      const client = new SimClient(stage, name, () => this.#cluster.isUp(name));
      this.#cluster.add({ name, boot: () => client.boot() });
      return client;
    });
    this.#steps = new Steps(stage, {
      cluster: this.#cluster,
      clients: this.#clients,
      onSnapshot: () => void this.#watch.checkSnapshot(),
    });
    this.#faults = new Faults(stage, this.#cluster);
    stage.world.onProgram((what, { host, pid, env }) => {
      const at = {
        worker: host,
        run: env["TITAN_RUN"]!,
        job: env["TITAN_JOB"]!,
        attempt: Number(env["TITAN_ATTEMPT"]),
        pid,
      };
      stage.note(`${host} ${what === "start" ? "runs" : "ends"} ${at.run}/${at.job}#${at.attempt}`);
      stage.ask(() => stage.judge.executing(what === "start" ? "began" : "ended", at));
    });
  }

  #crashedByJob(stage: Stage, host: string): void {
    const how = { downMs: stage.between(stage.plan.restartMs), torn: true };
    stage.after(0, () => {
      if (!this.#cluster.down(host, "crash", how)) return;
      stage.note(`FAULT a job takes ${host} down`);
      stage.faults["job-crashes-host"] = (stage.faults["job-crashes-host"] ?? 0) + 1;
    });
  }

  async run(): Promise<void> {
    const { stage } = this;
    const { plan } = stage;
    this.#cluster.start();
    for (const step of plan.steps) stage.after(step.at, () => this.#steps.begin(step));
    for (const fault of plan.faults) stage.after(fault.at, () => this.#faults.begin(fault));
    await this.#until(plan.safetyMs, () => false);
    stage.note("everything is mended");
    stage.healing = true;
    this.#faults.heal();
    this.#cluster.heal();
    let over = false;
    void this.#bringToEnd().then(() => { over = true; });
    await this.#until(plan.safetyMs + VIRTUAL_BOUND_MS, () => over);
    if (!over && stage.broken === undefined) this.#neverEnds();
    await this.#finale();
    stage.ask(() =>
      stage.judge.bounded("bytes under way on one connection", {
        found: stage.world.bounded(),
        limit: CONNECTION_BOUND_BYTES,
      }),
    );
    if (plan.seed % PREFIXES.seeds === 0) stage.ask(() => stage.judge.allPrefixes(PREFIXES.events));
  }

  /** Lets time pass until something holds, something breaks, or it is that late. */
  async #until(endMs: number, done: () => boolean): Promise<void> {
    const { stage } = this;
    while (stage.world.now < endMs && stage.broken === undefined && !done()) {
      await stage.world.run(Math.min(endMs, stage.world.now + LOOK_MS));
    }
  }

  // ── liveness ───────────────────────────────────────────────────────────────────────────────────

  /**
   * Resolves when every accepted run has ended and every process is gone. Answers gates, as people
   * would.
   */
  async #bringToEnd(): Promise<void> {
    const client = this.#clients[0]!;
    for (;;) {
      if (this.#isQuiet() && (await this.#allEnded(client)) && this.#isQuiet()) break;
      const gates = await client.perform("lists gates", (master) => master.gates());
      if (gates.ok) {
        for (const { id } of gates.value) {
          await client.perform("approves", (master) =>
            master.decide(id, { approve: true, by: "keeper" }),
          );
        }
      }
      // Work that only a drained worker may do would wait for ever, as it should.
      const workers = await client.perform("lists workers", (master) => master.workers());
      const drained = workers.ok ? workers.value.filter(({ draining }) => draining) : [];
      for (const { id } of drained) {
        await client.perform("ends a drain", (master) => master.drain(String(id), { undo: true }));
      }
      for (const run of this.#endless()) {
        await client.perform("cancels what has no end", (master) => master.cancel(run));
      }
      await new Promise<void>((resolve) => void this.stage.after(POLL_MS, resolve));
    }
    this.stage.ask(() => this.stage.judge.quiet({ programs: this.stage.world.programs().length }));
  }

  /** Runs with a job that only a cancel ends. */
  #endless(): string[] {
    const pipelines = this.stage.plan.pipelines.filter(({ jobs }) =>
      jobs.some(({ does }) => does.startsWith("forever")),
    );
    return pipelines.flatMap(({ key }) => this.#steps.runs.get(key) ?? []);
  }

  /**
   * Nothing goes on, as far as the log and the machines say: a request that somebody gave up may
   * still arrive and start something.
   */
  #isQuiet(): boolean {
    const { judge, world } = this.stage;
    return (
      this.#steps.unanswered === 0 && judge.stats.openRuns === 0 && world.programs().length === 0
    );
  }

  /** The same as the master says, to a client that looks at everything once more. */
  async #allEnded(client: SimClient): Promise<boolean> {
    const { stage } = this;
    if (stage.diskIsFull) return false; // it tries again within seconds
    const runs = await client.perform("lists runs", (master) => master.runs());
    if (!runs.ok || runs.value.some(({ status }) => status === "RUNNING")) return false;
    for (const run of this.#steps.runs.values()) {
      const status = await client.perform(`looks at ${run}`, (master) => master.status(run));
      if (!status.ok) {
        stage.breaks(
          "acknowledged-is-durable",
          `${run} was acknowledged, and now: ${status.refused.message}`,
        );
        return false;
      }
      for (const job of status.value.jobs) {
        stage.ask(() =>
          stage.judge.seen({ run, job: job.id, status: job.status, attempt: job.attempt }),
        );
      }
    }
    const info = await client.perform("asks for the hash", (master) => master.info({ hash: true }));
    if (info.ok) {
      stage.ask(() =>
        stage.judge.hash({ seq: info.value.nextSeq - 1, hash: info.value.stateHash }),
      );
    }
    return true;
  }

  #neverEnds(): void {
    const { stage } = this;
    const waiting = this.#clients.reduce((sum, client) => sum + client.waiting, 0);
    // The judge knows the names of what has not ended.
    stage.ask(() => stage.judge.quiet({ programs: stage.world.programs().length }));
    stage.breaks(
      "everything-ends",
      `${VIRTUAL_BOUND_MS / 60_000} minutes after everything was mended, ${waiting} requests ` +
        `wait for an answer (${this.#steps.unanswered} of them submissions)`,
    );
  }

  // ── the end ────────────────────────────────────────────────────────────────────────────────────

  async #finale(): Promise<void> {
    const { stage } = this;
    const { finale } = stage.plan;
    if (finale === "none" || stage.broken !== undefined) return;
    let over = false;
    this.#cluster.down("m", finale, { downMs: 10, torn: true });
    void this.#afterRestart().then(() => { over = true; });
    await this.#until(stage.world.now + VIRTUAL_BOUND_MS, () => over);
    if (!over) {
      stage.breaks("everything-ends", `the master did not come back after its last ${finale}`);
    }
  }

  async #afterRestart(): Promise<void> {
    const { stage } = this;
    const life = this.#cluster.lifeOf("m");
    while (this.#cluster.lifeOf("m") === life || this.#cluster.master === undefined) {
      await new Promise<void>((resolve) => void stage.after(5, resolve));
    }
    await this.#bringToEnd();
  }
}
