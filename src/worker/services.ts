/**
 * Lesson 14: the services that run on this worker: their ports, and how they are.
 *
 *     assignment ─▶ a port ─▶ program ─▶ check, check, check … ─▶ HEALTH on each change
 *                      └─ taken by another: the attempt does not start, and says who has it
 *
 * Invariants: no two attempts have one port, and a port is free again once everything that its
 * attempt had started is gone; the master hears of each change of health at least once, and again
 * after each new connection; a service that stays unhealthy is ended here, and the master decides
 * what follows.
 * Test: test/14-services.worker.test.ts
 */
import { FreshSet } from "#base";
import type { ExecOutcome, Running } from "#exec";
import type { Host, Timer } from "#host";
import { HealthCounter, PortBook, type PortRange } from "#services";
import { MAX_REASON_BYTES, type AttemptKey, type HealthReport, type Service } from "#wire";
import { checkHealth } from "./check.ts";
import { WorkerForwards } from "./forward.ts";

/** Any address of this machine: a port that is free here is free for whatever a service binds. */
const EVERYWHERE = "0.0.0.0";
/** Ports of the range that are tried for one attempt. So many strangers in a row are not chance. */
const MAX_TRIES = 100;
/** In characters of up to three bytes. */
const MAX_REASON_CHARS = Math.floor(MAX_REASON_BYTES / 3);

export interface ServicesOptions {
  readonly host: Host;
  readonly ports: PortRange;
  /** This worker, in a sentence. */
  name(): string;
  /** Brings a report to the master, over as many connections as that takes. */
  send(report: HealthReport): Promise<unknown>;
  /** The process that listens on a port of this machine ("pid 4711"), if that can be known. */
  readonly portHolder?: ((port: number) => Promise<string | undefined>) | undefined;
}

/** A port, or the reason why there is none: the end of the attempt. */
export type PortFound =
  | { readonly port: number; release(): void }
  | { readonly outcome: ExecOutcome };

export class WorkerServices {
  readonly #options: ServicesOptions;
  readonly #book: PortBook;
  readonly #watches = new FreshSet<ServiceWatch>();
  readonly forwards: WorkerForwards;

  constructor(options: ServicesOptions) {
    this.#options = options;
    const { host, name } = options;
    this.forwards = new WorkerForwards({ host, name, portOf: (key) => this.#portOf(key) });
    this.#book = new PortBook(options.ports, options.host.random.unit());
  }

  /** Ports that are held. */
  get ports(): number {
    return this.#book.size;
  }

  /** Services that are checked. */
  get watched(): number {
    return this.#watches.size;
  }

  // #region port
  /** A port for an attempt, tried and held. Never rejects. */
  async takePort(service: Service, holder: string): Promise<PortFound> {
    if (service.port !== undefined) return this.#fixedPort(service.port, holder);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const port = this.#book.next();
      if (port === undefined) break;
      this.#book.hold(port, holder);
      if ((await this.#problemOf(port)) === undefined) return this.#held(port, holder);
      this.#book.release(port, holder);
    }
    const { from, to } = this.#options.ports;
    const where = `is free on ${this.#options.name()}`;
    return refused("port-taken", `no port from ${from} to ${to} ${where}`);
  }

  async #fixedPort(port: number, holder: string): Promise<PortFound> {
    const inUse = `port ${port} is in use on ${this.#options.name()}`;
    const ours = this.#book.holderOf(port);
    if (ours !== undefined) return refused("port-taken", `${inUse} by service ${ours}`);
    // Held before it is tried: another attempt may ask while we wait for the answer.
    this.#book.hold(port, holder);
    const code = await this.#problemOf(port);
    if (code === undefined) return this.#held(port, holder);
    this.#book.release(port, holder);
    if (code === "EACCES") {
      const why = "it needs rights that the worker does not have";
      const where = `cannot be used on ${this.#options.name()}`;
      return refused("unsupported", `port ${port} ${where}: ${why}`);
    }
    if (code !== "EADDRINUSE") return refused("internal", `port ${port} cannot be tried: ${code}`);
    const who = await this.#options.portHolder?.(port).catch(() => undefined);
    return refused("port-taken", who === undefined ? inUse : `${inUse} by ${who}`);
  }
  // #endregion

  #held(port: number, holder: string): PortFound {
    return { port, release: () => this.#book.release(port, holder) };
  }

  /** The system's code for what keeps us from listening on a port; undefined: it is free. */
  async #problemOf(port: number): Promise<string | undefined> {
    try {
      const at = { host: EVERYWHERE, port };
      const listener = await this.#options.host.network.listen(at, (socket) => socket.destroy());
      await listener.close();
      return undefined;
    } catch (error) {
      return (error as { code?: string }).code ?? (error as Error).message;
    }
  }

  /** Checks a service from now on, until it has ended. */
  watch(key: AttemptKey, service: Service, run: { running: Running; port: number }): ServiceWatch {
    const watch = new ServiceWatch(this.#options, { key, service, ...run });
    this.#watches.add(watch);
    const end = (): void => {
      this.#watches.delete(watch);
      watch.stop();
    };
    run.running.done.then(end, end);
    return watch;
  }

  /** Where the program of an attempt is to listen; undefined: it does not run here. */
  #portOf(key: AttemptKey): number | undefined {
    for (const watch of this.#watches) if (watch.isOf(key)) return watch.port;
    return undefined;
  }

  /** There is a new connection: its master may know less than the one before. */
  welcomed(): void {
    for (const watch of this.#watches) watch.tellAgain();
  }
}

function refused(kind: "port-taken" | "unsupported" | "internal", message: string): PortFound {
  return { outcome: { status: "failed", kind, message, durationMs: 0 } };
}

interface Watched {
  readonly key: AttemptKey;
  readonly service: Service;
  readonly running: Running;
  readonly port: number;
}

/** Checks one service, again and again. */
export class ServiceWatch {
  readonly #options: ServicesOptions;
  readonly #watched: Watched;
  readonly #health: HealthCounter;
  #timer: Timer | undefined;
  #over = false;
  /** Why it was ended here. */
  #hopeless: string | undefined;
  /** What the master should know, and what it has confirmed. */
  #latest: HealthReport | undefined;
  #told: HealthReport | undefined;
  #telling = false;

  constructor(options: ServicesOptions, watched: Watched) {
    this.#options = options;
    this.#watched = watched;
    this.#health = new HealthCounter(watched.service, options.host.clock.monotonic());
    this.#plan();
  }

  isOf({ run, job, attempt }: AttemptKey): boolean {
    const { key } = this.#watched;
    return key.run === run && key.job === job && key.attempt === attempt;
  }

  get port(): number {
    return this.#watched.port;
  }

  /** The end of the attempt: its own, or the one that this watch has brought about. */
  outcomeOf(outcome: ExecOutcome): ExecOutcome {
    if (this.#hopeless === undefined || outcome.status === "ok") return outcome;
    const { message: _, ...rest } = outcome;
    return { ...rest, kind: "unhealthy", message: this.#hopeless };
  }

  #plan(): void {
    const { timers } = this.#options.host;
    this.#timer = timers.after(this.#health.delayMs, () => void this.#check());
  }

  // #region check
  async #check(): Promise<void> {
    const { host } = this.#options;
    const { service, running, port } = this.#watched;
    const why = await checkHealth(service.check, { host, port, running }, service.timeoutMs);
    if (this.#over) return;
    const news = this.#health.note(why === undefined, host.clock.monotonic());
    if (news === "ready") this.#tell("READY", "");
    else if (news === "unhealthy") this.#tell("UNHEALTHY", why ?? "");
    else if (this.#latest === undefined) this.#tell("STARTING", why ?? "");
    if (news === "hopeless") return this.#end(why ?? "");
    this.#plan();
  }
  // #endregion

  /** It hangs: its end and its next start are worth more than waiting. */
  #end(why: string): void {
    const checks = 2 * this.#watched.service.unhealthyAfter;
    this.#hopeless = `its health check failed ${checks} times in a row: ${why}`;
    this.#watched.running.cancel("it is not healthy");
  }

  #tell(phase: "STARTING" | "READY" | "UNHEALTHY", reason: string): void {
    const { key, port, running } = this.#watched;
    const short = reason.slice(0, MAX_REASON_CHARS);
    this.#latest = { ...key, phase, port, pid: running.pid ?? 0, reason: short };
    void this.#send();
  }

  tellAgain(): void {
    this.#told = undefined;
    void this.#send();
  }

  /** One report under way at a time: the master hears them in order, and the newest last. */
  async #send(): Promise<void> {
    if (this.#telling) return;
    this.#telling = true;
    try {
      while (!this.#over && this.#latest !== undefined && this.#told !== this.#latest) {
        const report = this.#latest;
        await this.#options.send(report);
        this.#told = report;
      }
    } catch {
      // The worker stops, or the master refuses such news: it will hear of the end.
    } finally {
      this.#telling = false;
    }
  }

  stop(): void {
    this.#over = true;
    this.#timer?.cancel();
  }
}
