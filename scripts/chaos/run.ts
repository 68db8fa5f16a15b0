/**
 * A chaos run from its start to its verdict: real processes, real sockets, real disk, and faults by
 * a seeded schedule.
 *
 *     clients ─▶ proxies ─▶ master ◀─ proxies ◀─ workers       every process its own
 *                 cuts, delays, silence                        state in a temporary folder
 *
 *     break things for a while ─▶ mend everything ─▶ wait until all runs have ended
 *                                                 ─▶ stop ─▶ compare log and files
 *
 * The plan, its clients and its judge are those of the simulation (lesson 22); this file does to
 * processes what src/simulation/faults.ts does to simulated machines.
 *
 * Invariants: what is signalled was started here; nothing is left, whatever the verdict and also
 * when interrupted.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { nodeHost, removeTree } from "#host";
import type { Client } from "#sdk";
import {
  bringToEnd, faultText, PatientClient, planLines, readLogEvents, Steps, type Fault,
} from "#simulation";
import { ROOT } from "../bootstrap.mjs";
import { grown, heldBy, type Held, type Holding } from "./held.ts";
import { chaosPlan, type PlanOptions } from "./plan.ts";
import { processesOf, type Found } from "./processes.ts";
import { Proxy } from "./proxy.ts";
import { masterRole, type Role, workerRole } from "./roles.ts";
import { RealScene } from "./scene.ts";
import { judge, type Evidence, type Verdict } from "./verdict.ts";

export interface ChaosOptions extends PlanOptions {
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

export function runChaos(options: ChaosOptions): Promise<ChaosOutcome> {
  return new ChaosRun(options).toTheEnd();
}

class ChaosRun {
  readonly #options: ChaosOptions;
  readonly #dir = mkdtempSync(join(tmpdir(), "titan-chaos-"));
  readonly #effects = join(this.#dir, "effects");
  readonly #log = join(this.#dir, "state", "log");
  readonly #begun = performance.now();
  readonly #over = new AbortController();
  readonly #evidence: Evidence;
  readonly #background = new Set<Promise<void>>();
  readonly #scene: RealScene;
  readonly #clients: PatientClient[];
  readonly #steps: Steps;
  /** Between the master and each worker and client, by their names. */
  readonly #proxies = new Map<string, Proxy>();
  #master!: Role;
  #workers: Role[] = [];
  readonly #ended = new Promise<void>((resolve) =>
    this.#over.signal.addEventListener("abort", () => resolve(), { once: true }),
  );
  /** The things that each role held when nothing had happened yet. */
  readonly #before = new Map<string, Held>();
  #failure: Error | undefined;
  #interrupted = false;

  constructor(options: ChaosOptions) {
    this.#options = options;
    const plan = chaosPlan(options);
    this.#scene = new RealScene(plan, {
      effects: this.#effects,
      portOf: (client) => this.#proxies.get(client)!.port,
      onBroken: ({ invariant, message }) => {
        if (!this.#over.signal.aborted) this.#say(`BROKEN ${invariant}: ${message}`);
      },
    });
    this.#clients = Array.from({ length: plan.clients }, (_, index) =>
      new PatientClient(this.#scene, `c${index + 1}`, () => true));
    this.#steps = new Steps(this.#scene, { clients: this.#clients, snapshot: () => undefined });
    this.#evidence = {
      effects: this.#effects, deaths: [], told: this.#scene.told, kills: [], disturbed: [],
      masterFreezes: [], leftByAttempts: [], orphans: [], open: [], crashes: [],
      lives: { master: [], workers: [] }, broken: undefined, repeats: 0, held: [],
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
      this.#scene.breaks("no-crash", "the run was interrupted");
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
      const verdict = judge(this.#evidence, await readLogEvents(nodeHost(), this.#log));
      kept = keep || !verdict.ok;
      const dir = kept ? this.#dir : undefined;
      return { ...verdict, tookMs: performance.now() - this.#begun, dir };
    } catch (error) {
      kept = keep || !this.#interrupted;
      const where = kept ? ` (its files are in ${this.#dir})` : "";
      const why = this.#interrupted ? "it was interrupted" : (error as Error).message;
      throw new Error(`Cannot finish the run: ${why}${where}`, { cause: error });
    } finally {
      signal?.removeEventListener("abort", interrupt);
      await this.#stop();
      if (!kept) await removeTree(this.#dir);
    }
  }

  async #prepare(): Promise<void> {
    mkdirSync(this.#effects);
    // In a copy: a build of the project that somebody starts meanwhile changes nothing here.
    const build = join(this.#dir, "build");
    // `merged`: the program itself, in the compiled copy that tests run in.
    for (const folder of ["dist", "merged"].filter((name) => existsSync(join(ROOT, name)))) {
      cpSync(join(ROOT, folder), join(build, folder), {
        recursive: true,
        filter: (path) => !/\/\.(?:lock|staging)/.test(path),
      });
    }
    cpSync(join(ROOT, "package.json"), join(build, "package.json"));
    const cli = join(build, "dist", "cli", "main.js");

    const { plan } = this.#scene;
    for (const { name } of [...plan.workers, ...this.#clients]) {
      this.#proxies.set(name, await Proxy.listen());
    }
    const place = { cli, dir: this.#dir };
    this.#master = masterRole(place, (port) => {
      for (const proxy of this.#proxies.values()) proxy.target = port;
    });
    this.#workers = plan.workers.map((worker) =>
      workerRole(place, { ...worker, proxy: this.#proxies.get(worker.name)!.port }));
    await this.#startAll();
    for (const [name, held] of this.#holdings()) this.#before.set(name, held);
    this.#say(`a master and ${this.#workers.length} workers are up`);
  }

  /** Those that are not there. Resolves when all are ready. */
  async #startAll(): Promise<void> {
    const roles = [this.#master, ...this.#workers];
    for (const role of roles) role.start();
    await Promise.all(roles.map((role) => role.ready));
  }

  // ── the work and the faults ────────────────────────────────────────────────────────────────────

  async #breakThings(): Promise<void> {
    const { plan } = this.#scene;
    const lines = planLines(plan).map((line) => `${line}\n`);
    writeFileSync(join(this.#dir, "plan.txt"), lines.join(""));
    for (const step of plan.steps) {
      this.#scene.after(step.at, () => {
        if (!this.#scene.healing) this.#steps.begin(step);
      });
    }
    let shiftMs = performance.now();
    for (const fault of plan.faults) {
      if (this.#failure !== undefined || this.#scene.broken !== undefined) break;
      await this.#pause(shiftMs + fault.at - performance.now());
      this.#say(faultText(fault));
      if (fault.kind === "pause" && fault.target === "m") {
        const before = performance.now();
        await this.#freezeMaster(fault.forMs);
        shiftMs += performance.now() - before; // nothing else happens meanwhile
      } else await this.#apply(fault);
    }
    await this.#settleBackground();
  }

  async #apply(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case "kill":
      case "crash": return fault.target === "m" ? this.#killMaster(fault) : this.#killWorker(fault);
      case "pause": {
        const worker = this.#workerOf(fault);
        worker.freeze();
        this.#disturb("a worker is frozen", fault.forMs);
        return this.#inBackground(this.#pause(fault.forMs).then(() => worker.thaw()));
      }
      case "cut":
      case "reset":
        this.#disturb("a connection is cut", 500);
        return this.#proxies.get(fault.peer)!.cut(fault.kind === "reset");
      case "partition":
        this.#disturb("a connection is silent", fault.forMs);
        if (fault.way !== "from") this.#proxies.get(fault.peer)!.stall("down", fault.forMs);
        if (fault.way !== "to") this.#proxies.get(fault.peer)!.stall("up", fault.forMs);
        return;
      case "stall": return this.#slow(fault, fault.chance);
      case "slow-link": return this.#slow(fault, 1);
      default: throw new Error(`Cannot do this to real processes: ${faultText(fault)}`);
    }
  }

  /** Some of what goes over a connection takes longer, for a while. */
  #slow(fault: Fault & { kind: "stall" | "slow-link" }, chance: number): void {
    const proxy = this.#proxies.get(fault.peer)!;
    const { random } = this.#scene;
    const [least, most] = fault.ms;
    this.#disturb("a connection is slow", fault.forMs + most);
    proxy.delay(() => (random.unit() < chance ? least + random.unit() * (most - least) : 0));
    this.#inBackground(this.#pause(fault.forMs).then(() => proxy.delay()));
  }

  #workerOf({ target }: Fault): Role {
    return this.#workers.find(({ name }) => name === target)!;
  }

  /** Not when it is ready, but as soon as it is there: it may be killed while it starts, too. */
  async #killMaster({ downMs }: Fault & { kind: "kill" | "crash" }): Promise<void> {
    const master = this.#master;
    await untilTrue(() => master.pid !== undefined, HEALTHY_MS);
    const from = Date.now();
    await master.kill();
    // All that a client was told by now must be in the log, and everything that was in it before.
    const told = this.#scene.told.length;
    this.#evidence.deaths.push({ at: from, told, log: await readLogEvents(nodeHost(), this.#log) });
    this.#disturb("the master is dead", 1000);
    this.#inBackground(
      pause(downMs).then(async () => {
        master.start();
        await master.ready;
        this.#disturb("the workers are coming back", 1500);
      }),
    );
  }

  async #killWorker(fault: Fault & { kind: "kill" | "crash" }): Promise<void> {
    const worker = this.#workerOf(fault);
    const withReaper = fault.kind === "crash";
    await untilTrue(() => worker.pid !== undefined, HEALTHY_MS);
    const { name, frozen } = worker;
    const since = worker.lives.at(-1)!.startedAt;
    this.#evidence.kills.push({ at: Date.now(), since, worker: name, frozen, withReaper });
    await worker.kill({ withReaper });
    this.#inBackground(pause(fault.downMs).then(() => worker.start()));
  }

  /** In a healthy cluster, so that nothing else can be blamed for what follows. */
  async #freezeMaster(forMs: number): Promise<void> {
    await this.#settleBackground();
    await untilTrue(async () => {
      const known = (await this.#ask("lists workers", (master) => master.workers())) ?? [];
      return known.filter(({ connected }) => connected).length === this.#workers.length;
    }, HEALTHY_MS);
    await pause(500);
    const from = Date.now();
    this.#master.freeze();
    await this.#pause(forMs);
    this.#master.thaw();
    this.#disturb("the master has slept, and its workers have a whole lease to come back", 4500);
    await this.#pause(3000);
    this.#evidence.masterFreezes.push({ from, to: Date.now() });
  }

  // ── and then no more ───────────────────────────────────────────────────────────────────────────

  async #mend(): Promise<void> {
    if (this.#interrupted) return;
    if (this.#failure !== undefined) throw this.#failure;
    this.#say("no more faults");
    this.#scene.healing = true;
    for (const proxy of this.#proxies.values()) proxy.delay();
    for (const role of [this.#master, ...this.#workers]) role.thaw();
    await this.#startAll();
    await this.#bringToEnd();
    this.#evidence.broken = this.#scene.broken;
    this.#evidence.repeats = this.#clients.reduce((sum, { repeats }) => sum + repeats, 0);
    for (const client of this.#clients) client.close();
    this.#say("all runs have ended; looking for what their jobs left");
    this.#evidence.leftByAttempts = await this.#remaining();
    // Idle launchers are let go after some seconds, and memory is collected some time.
    const isIdle = (): boolean => this.#held().every((holding) => grown(holding).length === 0);
    await untilTrue(isIdle, IDLE_MS).catch(() => undefined);
    this.#evidence.held = this.#held();
  }

  async #bringToEnd(): Promise<void> {
    const client = this.#clients[0]!;
    const isQuiet = (): boolean => this.#steps.unanswered === 0;
    let over = false;
    void bringToEnd(this.#scene, { client, steps: this.#steps, isQuiet }).then(() => {
      over = true;
    });
    const done = (): boolean => over || this.#scene.broken !== undefined;
    await untilTrue(done, this.#options.healMs).catch(() => undefined);
    if (done()) return;
    const runs = (await this.#ask("lists runs", (master) => master.runs())) ?? [];
    this.#evidence.open = runs.filter(({ status }) => status === "RUNNING");
  }

  /** Undefined: everything is over, or there is no answer. */
  async #ask<T>(what: string, question: (master: Client) => Promise<T>): Promise<T | undefined> {
    const asked = this.#clients[0]!.perform(what, question);
    const answer = await Promise.race([asked, this.#pause(GONE_MS)]);
    return answer?.ok === true ? answer.value : undefined;
  }

  #holdings(): [string, Held][] {
    return [this.#master, ...this.#workers].flatMap(({ name, pid }) => {
      const held = pid === undefined ? undefined : heldBy(pid);
      return held === undefined ? [] : [[name, held]];
    });
  }

  #held(): Holding[] {
    return this.#holdings().map(([name, after]) =>
      ({ name, before: this.#before.get(name)!, after }));
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
    this.#over.abort();
    this.#scene.healing = true;
    this.#scene.breaks("no-crash", "the run is over");
    for (const client of this.#clients) client.close();
    await Promise.all(this.#workers.map((worker) => worker.end()));
    await this.#master?.end();
    await this.#settleBackground().catch(() => undefined);
    for (const proxy of this.#proxies.values()) await proxy.close();
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
      .catch((error: Error) => void (this.#failure ??= error))
      .finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }

  /** Waits until nothing goes on in the background. */
  async #settleBackground(): Promise<void> {
    const settled = (): boolean => this.#background.size === 0 || this.#failure !== undefined;
    await untilTrue(settled, 3 * HEALTHY_MS);
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** Asks again and again. */
async function untilTrue(what: () => boolean | Promise<boolean>, limitMs: number): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await what())) {
    if (performance.now() > end) {
      throw new Error(`Cannot go on with the run: still not true after ${limitMs} ms: ${what}`);
    }
    await pause(20);
  }
}
