/**
 * Lesson 22: one simulated life, from a plan to a verdict.
 *
 *     safety     steps and faults at their times; the judge watches everything
 *     liveness   all is mended, and everything that was accepted must come to its end, within
 *                VIRTUAL_BOUND_MS
 *     finale     the master is taken down once more, and must remember all of it
 *
 * The first two phases ask different questions. While things break, nothing wrong may happen; a
 * cluster that does nothing at all would pass. Only afterwards can one ask that it does something.
 *
 * Test: test/22-simulation.test.ts
 */
import { Cloud } from "./cloud.ts";
import { Cluster } from "./cluster.ts";
import { PatientClient } from "./clients.ts";
import { ProgramAgents } from "./agents.ts";
import { bringToEnd } from "./ending.ts";
import { Faults } from "./faults.ts";
import { LogWatch } from "./log-watch.ts";
import type { Plan } from "./plan.ts";
import { startPools } from "./pools.ts";
import { ProgramPorts } from "./ports.ts";
import { scriptedProgram } from "./programs.ts";
import type { Broken } from "./scene.ts";
import { Stage } from "./stage.ts";
import { StepLedger } from "./step-ledger.ts";
import { Steps } from "./steps.ts";

/**
 * Time for everything to end once nothing is broken any more: many times the longest job, its
 * retries, and the leases.
 */
const VIRTUAL_BOUND_MS = 10 * 60_000;

/**
 * On one connection: an attempt has one batch of output (256 KiB) under way, a worker has three
 * slots, and a quarter is for all else.
 */
const CONNECTION_BOUND_BYTES = 1024 * 1024;

/**
 * All prefixes of the log are folded for one seed in so many, at every so many events: it takes
 * half as long as the life.
 */
const PREFIXES = { seeds: 8, events: 5 };

/** After so long the world stops for a look whether something broke. */
const LOOK_MS = 100;

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

/** Lives one life. Never rejects: everything that goes wrong in it is part of the outcome. */
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
  readonly #cloud: Cloud;
  readonly #clients: PatientClient[];
  readonly #steps: Steps;
  readonly #faults: Faults;
  readonly #watch: LogWatch;
  readonly #ledger: StepLedger;
  readonly #ports = new ProgramPorts(() => this.stage.world);
  readonly #agents = new ProgramAgents(() => this.stage.world);

  constructor(plan: Plan) {
    this.stage = new Stage(plan, (stage) => scriptedProgram({
      foldersOf: (host) => this.#cluster.foldersOf(host),
      crash: (host) => this.#crashedByJob(stage, host),
      listen: (program, port) => this.#ports.listen(program, port),
      hang: (program) => this.#ports.close(program),
      act: (program, script, done) => this.#agents.begin(program, script, done),
      takeSteps: (program, steps) => this.#ledger.take(program, steps),
    }));
    const { stage } = this;
    this.#ledger = new StepLedger(stage);
    this.#cluster = new Cluster(stage);
    this.#cloud = new Cloud(stage, {
      boot: (worker) => this.#cluster.hire(worker),
      stop: (name) => this.#cluster.end(name),
      kill: (name) => void this.#cluster.down(name, "crash", { downMs: 0 }),
      life: () => this.#cluster.lifeOf("m"),
    });
    this.#cluster.onGone = (name) => this.#cloud.gone(name);
    this.#watch = new LogWatch(stage);
    this.#cluster.onMaster = (master) => {
      this.#watch.readAgain();
      const host = stage.world.host("m");
      const pools = startPools(stage, { cloud: this.#cloud, host, master });
      this.#cluster.onStop = async () => pools?.stop();
    };
    this.#clients = Array.from({ length: plan.clients }, (_, index) => {
      const name = `c${index + 1}`;
      const client = new PatientClient(stage, name, () => this.#cluster.isUp(name));
      this.#cluster.add({ name, boot: () => client.boot() });
      return client;
    });
    this.#steps = new Steps(stage, {
      clients: this.#clients,
      snapshot: () => this.#snapshot(),
    });
    this.#faults = new Faults(stage, this.#cluster);
    stage.world.onProgram((what, { host, pid, env }) => {
      if (what === "end") this.#ports.close({ host, pid });
      if (what === "end") this.#agents.close({ host, pid });
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

  #snapshot(): void {
    const { master } = this.#cluster;
    if (master === undefined) return;
    this.stage.note("m takes a snapshot");
    master.snapshot().then(
      () => void this.#watch.checkSnapshot(),
      (error: unknown) => this.stage.note(`m takes no snapshot: ${(error as Error).message}`),
    );
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

  /** Lets time pass until `done`, until something breaks, or until that moment. */
  async #until(endMs: number, done: () => boolean): Promise<void> {
    const { stage } = this;
    while (stage.world.now < endMs && stage.broken === undefined && !done()) {
      await stage.world.run(Math.min(endMs, stage.world.now + LOOK_MS));
    }
  }

  // ── liveness ───────────────────────────────────────────────────────────────────────────────────

  async #bringToEnd(): Promise<void> {
    const { stage } = this;
    await bringToEnd(stage, {
      client: this.#clients[0]!,
      steps: this.#steps,
      isQuiet: () =>
        this.#steps.unanswered === 0 &&
        stage.judge.stats.openRuns === 0 &&
        stage.world.programs().length === 0 &&
        stage.judge.pools.isQuiet(this.#cloud.counts),
    });
    this.#askQuiet();
  }

  #askQuiet(): void {
    const { stage } = this;
    stage.ask(() => stage.judge.quiet({ programs: stage.world.programs().length }));
    stage.ask(() => stage.judge.pools.quiet(this.#cloud.counts));
  }

  #neverEnds(): void {
    const { stage } = this;
    const waiting = this.#clients.reduce((sum, client) => sum + client.waiting, 0);
    // The judge knows the names of the jobs that have not ended.
    this.#askQuiet();
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
