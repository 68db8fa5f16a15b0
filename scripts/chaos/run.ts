/**
 * A chaos run from its start to its verdict: real processes, real sockets, real disk, and faults by
 * a seeded schedule.
 *
 *     clients ──┐                    ┌── m1  titan worker        every process its own; state in a temporary folder
 *               ├──▶ proxy ──▶ master├── m2  titan worker
 *     workers ──┘  cuts, delays      └── …
 *
 *     break things for a while ─▶ mend everything ─▶ wait until all runs have ended ─▶ stop ─▶ compare log and files
 *
 * Invariants: what is signalled was started here; nothing is left, whatever the verdict and also
 * when interrupted.
 */
import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost, removeTree } from "#host";
import { readLogEvents } from "../../src/simulation/invariants.ts";
import { ROOT } from "../bootstrap.mjs";
import {
  answerGates,
  Asker,
  pause,
  readHash,
  submit,
  submitSmallRuns,
  untilEnded,
  type Told,
} from "./clients.ts";
import { draw, type Draw } from "./draw.ts";
import { grown, heldBy, type Held, type Holding } from "./held.ts";
import { bigPipeline } from "./pipelines.ts";
import { describe, drawPlan, type Step } from "./plan.ts";
import { processesOf, type Found } from "./processes.ts";
import { Proxy } from "./proxy.ts";
import { MasterRole, WorkerRole } from "./roles.ts";
import { judge, type Evidence, type Verdict } from "./verdict.ts";

export interface ChaosOptions {
  readonly seed: number;
  /** Of the big run. */
  readonly jobs: number;
  /** Of the master, and of workers: each. */
  readonly kills: number;
  readonly workers: number;
  readonly slots: number;
  /** Time per kill. */
  readonly paceMs: number;
  /** How often a worker is stopped for longer than its lease. */
  readonly freezes: number;
  /** Also stop the master once, for 10 s. */
  readonly freezeMaster: boolean;
  /** How long the runs may take to end once everything is mended. */
  readonly healMs: number;
  readonly keep?: boolean;
  readonly onProgress?: (text: string) => void;
  /** Ends everything at once. */
  readonly signal?: AbortSignal;
}

export interface ChaosOutcome extends Verdict {
  readonly tookMs: number;
  /** Only if it was kept. */
  readonly dir: string | undefined;
}

/** A process that is being ended may take this long to be gone. */
const GONE_MS = 6000;
/** For launchers to be let go (5 s) and memory to be collected. */
const IDLE_MS = 15_000;
const HEALTHY_MS = 20_000;

export async function runChaos(options: ChaosOptions): Promise<ChaosOutcome> {
  const run = new ChaosRun(options);
  return run.toTheEnd();
}

class ChaosRun {
  readonly #options: ChaosOptions;
  readonly #dir = mkdtempSync(join(tmpdir(), "titan-chaos-"));
  readonly #effects = join(this.#dir, "effects");
  readonly #log = join(this.#dir, "state", "log");
  readonly #begun = performance.now();
  readonly #told: Told[] = [];
  readonly #over = new AbortController();
  readonly #healing = new AbortController();
  readonly #evidence: Evidence;
  readonly #background = new Set<Promise<void>>();
  #proxy!: Proxy;
  #master!: MasterRole;
  #workers: WorkerRole[] = [];
  readonly #ended = new Promise<void>((resolve) =>
    this.#over.signal.addEventListener("abort", () => resolve(), { once: true }),
  );
  #gates: Promise<void> = Promise.resolve();
  /** Resolves when the master answers again after the last kill. */
  #masterBack: Promise<void> = Promise.resolve();
  /** What each role held when nothing had happened yet. */
  readonly #before = new Map<string, Held>();
  #failure: Error | undefined;
  #interrupted = false;

  constructor(options: ChaosOptions) {
    this.#options = options;
    this.#evidence = {
      dir: this.#dir,
      effects: this.#effects,
      deaths: [],
      told: this.#told,
      kills: [],
      disturbed: [],
      masterFreezes: [],
      leftByAttempts: [],
      orphans: [],
      open: [],
      crashes: [],
      lives: { master: [], workers: [] },
      repeats: 0,
      held: [],
    };
  }

  #say(text: string): void {
    this.#options.onProgress?.(
      `${((performance.now() - this.#begun) / 1000).toFixed(1).padStart(6)} s  ${text}`,
    );
  }

  async toTheEnd(): Promise<ChaosOutcome> {
    const { signal, keep = false } = this.#options;
    const interrupt = (): void => {
      this.#interrupted = true;
      this.#over.abort();
      for (const role of [this.#master, ...this.#workers]) role?.endNow();
    };
    signal?.addEventListener("abort", interrupt, { once: true });
    if (signal?.aborted) interrupt();
    let kept = true;
    try {
      await this.#prepare();
      await this.#breakThings();
      await this.#mend();
      await this.#stop();
      if (this.#interrupted) throw new Error("it was interrupted");
      const { told, kills, disturbed, masterFreezes, lives } = this.#evidence;
      writeFileSync(
        join(this.#dir, "evidence.json"),
        JSON.stringify({ told, kills, disturbed, masterFreezes, lives }, null, 1),
      );
      const verdict = judge(this.#evidence, await readLogEvents(nodeHost(), this.#log));
      kept = keep || !verdict.ok;
      return {
        ...verdict,
        tookMs: performance.now() - this.#begun,
        dir: kept ? this.#dir : undefined,
      };
    } catch (error) {
      kept = keep || !this.#interrupted;
      const where = kept ? ` (its files are in ${this.#dir})` : "";
      throw new Error(
        "Cannot finish the run: " +
          `${this.#interrupted ? "it was interrupted" : (error as Error).message}${where}`,
        { cause: error },
      );
    } finally {
      signal?.removeEventListener("abort", interrupt);
      await this.#stop();
      if (!kept) await removeTree(this.#dir);
    }
  }

  async #prepare(): Promise<void> {
    const { workers, slots } = this.#options;
    mkdirSync(this.#effects);
    // A copy: who builds the project meanwhile changes nothing here.
    const build = join(this.#dir, "build");
    cpSync(join(ROOT, "dist"), join(build, "dist"), {
      recursive: true,
      filter: (path) => !/\/\.(?:lock|staging)/.test(path),
    });
    cpSync(join(ROOT, "package.json"), join(build, "package.json"));
    const cli = join(build, "dist", "cli", "main.js");

    this.#proxy = await Proxy.listen();
    this.#master = new MasterRole({
      cli,
      dir: this.#dir,
      onPort: (port) => {
        this.#proxy.target = port;
      },
    });
    this.#workers = Array.from(
      { length: workers },
      (_, index) =>
        // One of them is special, so that some jobs have nowhere else to go.
        new WorkerRole(`m${index + 1}`, {
          cli,
          dir: this.#dir,
          proxy: this.#proxy.port,
          slots,
          tags: index === 0 ? ["GPU"] : [],
        }),
    );
    this.#master.start();
    for (const worker of this.#workers) worker.start();
    await Promise.all([this.#master.ready, ...this.#workers.map((worker) => worker.ready)]);
    for (const [name, held] of this.#holdings()) this.#before.set(name, held);
    this.#say(`a master and ${workers} workers with ${slots} slots each are up`);
  }

  // ── the work and the faults ────────────────────────────────────────────────────────────────────

  async #breakThings(): Promise<void> {
    const { seed, jobs, kills, workers, paceMs, freezes, freezeMaster } = this.#options;
    const plan = drawPlan(draw(seed), { kills, workers, paceMs, freezes, freezeMaster });
    writeFileSync(
      join(this.#dir, "plan.txt"),
      plan.map((step) => `t=${step.at} ${describe(step)}\n`).join(""),
    );
    const asker = new Asker(this.#proxy.port, this.#over.signal);
    const other = new Asker(this.#proxy.port, this.#over.signal);
    const tell = (told: Told): void => void this.#told.push(told);
    const spec = bigPipeline(draw(seed + 1), jobs);
    this.#inBackground(
      submit({ asker, effects: this.#effects, tell }, { spec, key: "big" }).then((run) => {
        if (run !== undefined) this.#say(`${run} is acknowledged: ${spec.jobs.length} jobs`);
      }),
    );
    this.#inBackground(
      submitSmallRuns(
        { asker: other, effects: this.#effects, tell },
        { random: draw(seed + 2), prefix: "small", until: this.#healing.signal },
      ),
    );
    this.#answerGates(draw(seed + 3), tell);

    let shiftMs = performance.now();
    for (const [n, step] of plan.entries()) {
      if (this.#failure !== undefined || this.#over.signal.aborted) break;
      await this.#pause(shiftMs + step.at - performance.now());
      this.#say(describe(step));
      if (step.do === "freeze master") {
        const before = performance.now();
        await this.#freezeMaster(step.forMs);
        shiftMs += performance.now() - before; // nothing else happens meanwhile
      } else await this.#apply(step, n);
    }
    this.#healing.abort();
    await this.#settleBackground();
    this.#proxy.delay(0);
    this.#evidence.repeats = asker.repeats + other.repeats;
    asker.close();
    other.close();
  }

  /** Until everything is over, in a life of its own: the last run may end with a gate. */
  #answerGates(random: Draw, tell: (told: Told) => void): void {
    const submitter = () => ({
      asker: new Asker(this.#proxy.port, this.#over.signal),
      effects: this.#effects,
      tell,
    });
    const both = [submitter(), submitter()] as const;
    this.#gates = answerGates(both, { random, until: this.#over.signal })
      .catch((error: Error) => {
        this.#failure ??= error;
      })
      .finally(() => both.forEach(({ asker }) => asker.close()));
  }

  async #apply(step: Exclude<Step, { do: "freeze master" }>, n: number): Promise<void> {
    switch (step.do) {
      case "kill master":
        return this.#killMaster(step);
      case "kill worker":
        return this.#killWorker(step);
      case "freeze worker": {
        const worker = this.#workers[step.place]!;
        worker.freeze();
        this.#disturb("a worker is frozen", step.forMs);
        return this.#inBackground(this.#pause(step.forMs).then(() => worker.thaw()));
      }
      case "cut":
        this.#disturb("a connection is cut", 500);
        return this.#proxy.cut(step.all ? "all" : n, step.reset);
      case "delay":
        this.#disturb("connections are slow", step.forMs + step.byMs);
        this.#proxy.delay(step.byMs);
        return this.#inBackground(this.#pause(step.forMs).then(() => this.#proxy.delay(0)));
      case "stall":
        this.#disturb("a connection is stalled", step.forMs);
        return this.#proxy.stall(n, step);
    }
  }

  async #killMaster({ downMs, whileStarting }: Step & { do: "kill master" }): Promise<void> {
    const master = this.#master;
    // Not `ready`: on its way back from the last kill it may be killed again, and that life is
    // never ready.
    await this.#masterBack;
    await this.#masterDies();
    this.#masterBack = (async () => {
      await pause(downMs);
      master.start();
      if (whileStarting) {
        await pause(downMs / 2);
        await this.#masterDies();
        master.start();
      }
      await master.ready;
      this.#disturb("the workers are coming back", 1500);
    })();
    this.#inBackground(this.#masterBack);
  }

  /**
   * What every client was told so far must now be in the log, and everything that was in it before.
   */
  async #masterDies(): Promise<void> {
    const from = Date.now();
    await this.#master.kill();
    const told = this.#told.length;
    this.#evidence.deaths.push({ at: from, told, log: await readLogEvents(nodeHost(), this.#log) });
    this.#disturb("the master is dead", 1000);
  }

  async #killWorker({ place, downMs, withReaper }: Step & { do: "kill worker" }): Promise<void> {
    const worker = this.#workers[place]!;
    await untilTrue(() => worker.alive, HEALTHY_MS);
    const since = worker.lives.at(-1)!.startedAt;
    this.#evidence.kills.push({
      at: Date.now(),
      since,
      worker: worker.name,
      frozen: worker.frozen,
      withReaper,
    });
    await worker.kill({ withReaper });
    this.#inBackground(pause(downMs).then(() => worker.start()));
  }

  /** In a healthy cluster, so that nothing else can be blamed for what follows. */
  async #freezeMaster(forMs: number): Promise<void> {
    await this.#settleBackground(1);
    const { workers } = this.#options;
    const asker = new Asker(this.#proxy.port, this.#over.signal);
    await untilTrue(async () => {
      const known = (await asker.ask((client) => client.workers())) ?? [];
      return known.length === workers && known.every(({ connected }) => connected);
    }, HEALTHY_MS);
    asker.close();
    await pause(500);
    const from = Date.now();
    this.#master.freeze();
    await this.#pause(forMs);
    this.#master.thaw();
    this.#disturb("the master has slept, and whoever is away has a whole lease to come back", 4500);
    await this.#pause(3000);
    this.#evidence.masterFreezes.push({ from, to: Date.now() });
  }

  // ── and then no more ───────────────────────────────────────────────────────────────────────────

  async #mend(): Promise<void> {
    if (this.#interrupted) return;
    if (this.#failure !== undefined) throw this.#failure;
    this.#say("no more faults");
    for (const role of [this.#master, ...this.#workers]) {
      role.thaw();
      role.start();
    }
    await Promise.all([this.#master.ready, ...this.#workers.map((worker) => worker.ready)]);
    const asker = new Asker(this.#proxy.port, this.#over.signal);
    this.#evidence.open = await untilEnded(asker, this.#options.healMs);
    await readHash({ asker, effects: this.#effects, tell: (told) => void this.#told.push(told) });
    asker.close();
    this.#say("all runs have ended; looking for what their jobs left");
    this.#evidence.leftByAttempts = await this.#remaining();
    // Idle launchers are let go after some seconds, and memory is collected some time.
    await untilTrue(
      () => this.#held().every((holding) => grown(holding).length === 0),
      IDLE_MS,
    ).catch(() => undefined);
    this.#evidence.held = this.#held();
  }

  #holdings(): [string, Held][] {
    return [this.#master, ...this.#workers].flatMap(({ name, pid }) => {
      const held = pid === undefined ? undefined : heldBy(pid);
      return held === undefined ? [] : [[name, held]];
    });
  }

  #held(): Holding[] {
    return this.#holdings().map(([name, after]) => ({
      name,
      before: this.#before.get(name)!,
      after,
    }));
  }

  /** Polls, because what was asked to end has some seconds for it. */
  async #remaining(): Promise<Found[]> {
    await untilTrue(() => processesOf(this.#dir).length === 0, GONE_MS).catch(() => undefined);
    return processesOf(this.#dir);
  }

  #stopped: Promise<void> | undefined;
  #stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    this.#healing.abort();
    this.#over.abort();
    await this.#gates;
    await Promise.all(this.#workers.map((worker) => worker.end()));
    await this.#master?.end();
    await this.#settleBackground().catch(() => undefined);
    await this.#proxy?.close();
    this.#evidence.orphans = await this.#remaining();
    // They name our own temporary folder, so they are descendants of what was started here.
    for (const { pid } of this.#evidence.orphans) process.kill(pid, "SIGKILL");
    this.#evidence.crashes.push(
      ...[this.#master, ...this.#workers].flatMap((role) => role?.crashes ?? []),
    );
    this.#evidence.lives = {
      master: this.#master?.lives ?? [],
      workers: this.#workers.flatMap((worker) => worker.lives),
    };
  }

  // ── odds and ends ──────────────────────────────────────────────────────────────────────────────

  /** Over at once when the whole run is. */
  #pause(ms: number): Promise<void> {
    return Promise.race([pause(ms), this.#ended]);
  }

  #disturb(why: string, forMs: number): void {
    this.#evidence.disturbed.push({ from: Date.now(), to: Date.now() + forMs, why });
  }

  #inBackground(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: Error) => {
        this.#failure ??= error;
      })
      .finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }

  /** Waits until at most `but` things go on in the background. */
  async #settleBackground(but = 0): Promise<void> {
    await untilTrue(
      () => this.#background.size <= but || this.#failure !== undefined,
      3 * HEALTHY_MS,
    );
    if (this.#failure !== undefined) throw this.#failure;
  }
}

async function untilTrue(what: () => boolean | Promise<boolean>, limitMs: number): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await what())) {
    if (performance.now() > end) {
      throw new Error(`Cannot go on with the run: still not true after ${limitMs} ms: ${what}`);
    }
    await pause(20);
  }
}
