/**
 * Lesson 22: the machines of a simulated cluster, and the supervisor that starts again what died.
 *
 *     up ──fault──▶ down ──supervisor, after a while──▶ up        a new life, on what the disk kept
 *
 * Nothing here is a model: `startMaster` and `startWorker` are what `titan master` and `titan
 * worker` call. Only their `Host` is simulated, and with it the work folders.
 *
 * Invariant: a role that dies of anything but an injected fault breaks `no-crash`.
 * Test: test/22-simulation.test.ts
 */
import { createExecutor } from "#exec";
import type { Host, Timer } from "#host";
import { LogError, repairLog } from "#log";
import { MasterError, startMaster, type Master, type Messenger } from "#master";
import { startWorker, type Worker } from "#worker";
import type { WorkerPlan } from "./plan.ts";
import { SimFolders } from "./programs.ts";
import { tapped } from "./wire-tap.ts";
import { LOG_DIR, MASTER, STATE_DIR, TOKEN, type Stage } from "./stage.ts";

/** How a machine goes down. */
export type Down = "kill" | "crash" | "stop";

export interface Machine {
  readonly name: string;
  /** Starts its program: called at the beginning, and again whenever it has died. */
  boot(): void;
  /** Ends its program in order; absent for a machine whose program has no such end. */
  stop?(): Promise<void>;
}

export class Cluster {
  readonly #stage: Stage;
  readonly #machines = new Map<string, Machine>();
  readonly #restarts = new Map<string, Timer>();
  /** Number of the life of each machine: messages of an earlier life are ignored. */
  readonly #lives = new Map<string, number>();
  readonly #folders = new Map<string, SimFolders>();
  readonly #stopping = new Set<string>();
  /** Machines of pools: nobody starts them again. */
  readonly hired = new Set<string>();
  master: Master | undefined;
  /** Called after each start of a master, before anybody can have asked it anything. */
  onMaster: (master: Master) => void = () => undefined;
  /** Called before a master is stopped in order. */
  onStop: () => Promise<void> = async () => undefined;
  /** Called when a machine of a pool is off. */
  onGone: (name: string) => void = () => undefined;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.add({
      name: MASTER.host,
      boot: () => this.#bootMaster(),
      stop: async () => {
        const { master } = this;
        await this.onStop();
        await master?.stop();
      },
    });
    for (const plan of stage.plan.workers) this.#addWorker(plan);
  }

  add(machine: Machine): void {
    this.#machines.set(machine.name, machine);
  }

  /** A machine for a worker that is off for good once its process has ended. */
  hire(plan: WorkerPlan): void {
    this.hired.add(plan.name);
    this.#addWorker(plan);
    this.#boot(plan.name);
  }

  /** Asks the program of a machine to end; resolves once it has. */
  async end(name: string): Promise<void> {
    await this.#machines.get(name)?.stop?.().catch(() => undefined);
  }

  foldersOf(host: string): SimFolders {
    let folders = this.#folders.get(host);
    if (folders === undefined) this.#folders.set(host, (folders = new SimFolders()));
    return folders;
  }

  start(): void {
    for (const name of this.#machines.keys()) this.#boot(name);
  }

  #boot(name: string): void {
    this.#lives.set(name, this.lifeOf(name) + 1);
    this.#stopping.delete(name);
    this.#machines.get(name)!.boot();
  }

  lifeOf(name: string): number {
    return this.#lives.get(name) ?? 0;
  }

  isUp(name: string): boolean {
    return this.#machines.has(name) && !this.#restarts.has(name) && !this.#stopping.has(name);
  }

  /**
   * Takes a machine down, and lets the supervisor start it again later. False: it is down already,
   * or does not exist.
   */
  down(
    name: string,
    how: Down,
    options: { downMs: number; torn?: boolean; garbage?: boolean; silent?: boolean },
  ): boolean {
    const machine = this.#machines.get(name);
    if (machine === undefined || this.#restarts.has(name)) return false;
    const { world } = this.#stage;
    if (how === "stop" && machine.stop !== undefined && !this.#stopping.has(name)) {
      this.#stop(machine, options.downMs);
      return true;
    }
    if (how === "crash") world.crash(name, options);
    else world.kill(name);
    if (name === MASTER.host && options.garbage === true) this.#garbage = true;
    if (name === MASTER.host) this.master = undefined;
    if (this.hired.delete(name)) this.#dismiss(name);
    else this.#restart(name, options.downMs);
    return true;
  }

  #dismiss(name: string): void {
    this.#machines.delete(name);
    this.#folders.delete(name);
    this.#stopping.delete(name);
    this.onGone(name);
  }

  #stop(machine: Machine, downMs: number): void {
    const { name } = machine;
    const life = this.lifeOf(name);
    this.#stopping.add(name);
    const stopped = (): void => {
      if (this.lifeOf(name) !== life || this.#restarts.has(name)) return;
      // The process is gone, and with it everything that it had forgotten to close.
      this.down(name, "kill", { downMs });
    };
    machine.stop!().then(stopped, (error: unknown) => {
      this.#died(name, { life, error, doing: "stopping" });
      stopped();
    });
  }

  #restart(name: string, downMs: number): void {
    const timer = this.#stage.after(downMs, () => {
      this.#restarts.delete(name);
      this.#stage.note(`${name} is started again`);
      this.#boot(name);
    });
    this.#restarts.set(name, timer);
  }

  /** Faults are over: every machine that is down comes up now. */
  heal(): void {
    for (const [name, timer] of [...this.#restarts]) {
      timer.cancel();
      this.#restart(name, 1);
    }
  }

  /**
   * A role ended by itself. That is right after an injected fault, and a bug otherwise; the
   * supervisor starts it again in any case.
   */
  #died(name: string, how: { life: number; error: unknown; doing: string }): void {
    if (this.lifeOf(name) !== how.life || this.#restarts.has(name)) return;
    const { error, doing } = how;
    const why = error instanceof Error ? error.message : String(error);
    const text = `${name} died while ${doing}: ${why}`;
    this.#stage.note(text);
    if (this.#mayBeGarbage(error)) this.#needsRepair = true;
    else if (!isInjected(error)) {
      const frames = /\n +at [^]*/.exec((error as Error | undefined)?.stack ?? "")?.[0] ?? "";
      this.#stage.breaks("no-crash", `${text}${frames}`);
    }
    this.down(name, "kill", { downMs: this.#stage.between(this.#stage.plan.restartMs) });
  }

  /**
   * Garbage in unsynced bytes may look like damage to synced ones: one bit turned, and intact
   * records behind it. Then the log refuses to open (lesson 05), and a person repairs it. The judge
   * decides whether the repair has lost anything durable.
   */
  #mayBeGarbage(error: unknown): boolean {
    return this.#garbage && error instanceof LogError && error.code === "DAMAGED";
  }
  #garbage = false;
  #needsRepair = false;

  async #repair(host: Host): Promise<void> {
    if (!this.#needsRepair) return;
    this.#needsRepair = false;
    const { keptTo } = await repairLog(host, LOG_DIR);
    this.#stage.note(`a person repairs the log of m: it ends with event ${keptTo}`);
  }

  // ── roles ──────────────────────────────────────────────────────────────────────────────────────

  #bootMaster(): void {
    const { world } = this.#stage;
    const life = this.lifeOf("m");
    const fatal = (error: Error): void =>
      void this.#stage.after(0, () => this.#died("m", { life, error, doing: "serving" }));
    const host = world.host("m");
    const full = (isFull: boolean): void => {
      if (this.lifeOf("m") !== life) return;
      this.#stage.note(isFull ? "m finds its disk full" : "m has room again");
      if (isFull) this.#stage.noRoom();
      else this.#stage.roomAgain();
    };
    this.#stage.masterBegins();
    const options = {
      host, dir: STATE_DIR, listen: MASTER, token: TOKEN, onFatal: fatal,
      messenger: simMessenger(host),
    };
    this.#repair(host)
      .then(() => startMaster({ ...options, onFull: () => full(true), onRoom: () => full(false) }))
      .then(
        (master) => {
          if (this.lifeOf("m") !== life) return;
          this.master = master;
          this.#garbage = false;
          const { events, tornBytes } = master.recovered;
          const cut = tornBytes > 0 ? ` (${tornBytes} torn bytes cut)` : "";
          this.#stage.note(`m serves, after a replay of ${events} events${cut}`);
          this.onMaster(master);
        },
        (error: unknown) => this.#died("m", { life, error, doing: "starting" }),
      );
  }

  /**
   * Somebody starts another master on the same folder: it has to be refused, and the first one must
   * not notice.
   */
  secondMaster(): void {
    if (this.master === undefined) return;
    startMaster({
      host: this.#stage.world.host("m"),
      dir: STATE_DIR,
      listen: { ...MASTER, port: MASTER.port + 1 },
      token: TOKEN,
    }).then(
      () => this.#stage.breaks("no-crash", "a second master was started on a folder that has one"),
      (error: unknown) => {
        if (error instanceof MasterError && error.code === "LOCKED") {
          this.#stage.note("a second master on the same folder is refused");
        } else if (!isInjected(error)) {
          this.#stage.breaks("no-crash", `a second master failed with ${(error as Error).stack}`);
        }
      },
    );
  }

  #addWorker({ name, slots, tags, isOld }: WorkerPlan): void {
    let worker: Worker | undefined;
    const boot = (): void => {
      const host = tapped(this.#stage.world.host(name), { stage: this.#stage, worker: name });
      const life = this.lifeOf(name);
      const executor = createExecutor({
        host,
        workDir: "/work",
        baseEnv: {},
        folders: this.foldersOf(name),
      });
      worker = startWorker({
        host,
        master: MASTER,
        token: TOKEN,
        name,
        tags,
        slots,
        executor,
        cacheDir: "/cache",
        ...(isOld && { knows: [] }),
        // While the master is down, there are ten refused dials a second: nobody wants to read
        // them.
        onNote: (text) => {
          if (!text.includes("ECONNREFUSED")) this.#stage.note(`${name} ${text}`);
        },
      });
      worker.done.catch((error: unknown) => this.#died(name, { life, error, doing: "working" }));
    };
    this.add({ name, boot, stop: async () => worker?.stop() });
  }
}

/** Codes that faults give to disk operations. */
const INJECTED = new Set(["EIO", "ENOSPC", "EMFILE"]);

/** Whether an error, or the cause of it, was injected by a fault. */
function isInjected(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (INJECTED.has((at as { code?: string }).code ?? "")) return true;
  }
  return false;
}

/** People are told of some gates at once, of others after a try or two, and all that takes time. */
function simMessenger({ timers }: Host): Messenger {
  return {
    refusal: () => undefined,
    send: (_, { gate: { id }, tries }) => new Promise((resolve) => {
      const isDown = tries < id.charCodeAt(id.indexOf("/") - 1) % 3;
      timers.after(100 * id.length, () => resolve(isDown ? "no dial tone" : undefined));
    }),
  };
}
