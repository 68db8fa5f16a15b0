/**
 * The world: what hosts share, and what can be done to them.
 *
 * Test: test/22-simulation.world.test.ts
 */
import { crc32 } from "node:zlib";
import { invariant } from "#base";
import {
  seededRandom, VirtualTime, type Storage, type Timer, type WorkerHost,
} from "#host";
import { MachineClock } from "./clock.ts";
import { SimStorage, synced } from "./disk.ts";
import { DiskFaults, FaultyStorage } from "./disk-faults.ts";
import type { Link } from "./link.ts";
import { FIRST_PID, Machine, type Boot, type Held, type LiveProgram } from "./machine.ts";
import { SimNetwork } from "./network.ts";
import { DiskImage, type Leftover } from "./disk-image.ts";
import { processesOf, reap } from "./processes.ts";
import { Trace } from "./trace.ts";
import type { CrashOptions, SimOptions, World } from "./types.ts";

/**
 * A simulated machine room. Hosts are made by name; only `run` and `settle` let time pass.
 *
 * @example
 * ```ts
 * import { SimWorld } from "#simhost";
 * async function hello(seed: number): Promise<string> {
 *   const world = new SimWorld({ seed });
 *   await world.host("b").network.listen({ host: "b", port: 80 }, (socket) =>
 *     socket.handle({ onData: (chunk) => world.note(`b reads ${chunk}`), onClose: () => {} }));
 *   void world.host("a").network.dial({ host: "b", port: 80 }).then((socket) => {
 *     socket.handle({ onData: () => {}, onClose: () => {} });
 *     socket.write(Buffer.from("hello"));
 *   });
 *   await world.run();
 *   return world.trace.join("\n");
 * }
 * await hello(42) === await hello(42) // => true
 * await hello(42) === await hello(43) // => false
 * ```
 */
export class SimWorld {
  readonly #world: World;
  readonly #network: SimNetwork;
  readonly #machines = new Map<string, Machine>();
  readonly #faults = new Map<string, DiskFaults>();
  readonly #seed: number;
  readonly #freshChance: boolean;
  readonly #trace: Trace;
  readonly #syncListeners: Array<(host: string, path: string) => void> = [];
  readonly #programListeners: Array<(what: "start" | "end", program: LiveProgram) => void> = [];
  readonly #diskListeners: Array<(host: string, operation: string, path: string) => void> = [];
  #events = 0;

  constructor(options: SimOptions) {
    this.#seed = options.seed;
    this.#freshChance = options.freshChance ?? false;
    this.#trace = new Trace(options.trace ?? "full");
    this.#world = this.#makeWorld(options);
    this.#network = new SimNetwork(this.#world);
  }

  /** Milliseconds since the world began. */
  get now(): number {
    return this.#world.time.now;
  }

  /** What happened, one line each: `<ms> <what>`. Empty with `trace: "hash"`. */
  get trace(): readonly string[] {
    return this.#trace.lines;
  }

  /** SHA-256 over the trace so far, in hex. Two runs with one hash were the same run. */
  get traceHash(): string {
    return this.#trace.digest();
  }

  /** The last lines of the trace; with `trace: "hash"` at most some thousands. */
  last(count: number): string[] {
    return this.#trace.last(count);
  }

  /** How many events have happened. */
  get events(): number {
    return this.#events;
  }

  /** Names of the hosts whose processes run, in the order of their first start. */
  get hosts(): string[] {
    return [...this.#machines.values()]
      .filter(({ boot }) => boot !== undefined)
      .map(({ name }) => name);
  }

  /**
   * What the process on this host has open at this moment: files, locks, ports, connections and
   * armed timers, one line each, sorted. Calls that `soon` has taken are not among them.
   */
  open(name: string): string[] {
    const { boot } = this.#machine(name);
    if (boot === undefined) return [];
    const held = [...boot.held].map(
      ({ kind, what }) => `${kind} ${kind === "timer" ? "due at " : ""}${what}`,
    );
    return [...held, ...this.#network.open(boot)].sort();
  }

  /**
   * The most bytes that one end of any connection had under way at a time, kernels' buffers
   * included.
   */
  bounded(): number {
    return this.#network.mostWaitingBytes;
  }

  /**
   * The host of that name, booted if it is not running. After its end this is a new life, on what
   * the disk kept.
   */
  host(name: string): WorkerHost {
    const machine = this.#machine(name);
    if (machine.host !== undefined) return machine.host;
    const boot: Boot = { name, machine, held: new Set(), onEnd: [], dead: false };
    machine.silent = false;
    machine.boot = boot;
    machine.host = this.#boot(boot, machine.lives++);
    return machine.host;
  }

  /** Runs events in time order, up to `untilMs`; by default until nothing is left to happen. */
  run(untilMs?: number): Promise<void> {
    return this.#world.time.run(untilMs);
  }

  /** Runs until the promise settles; rejects when nothing is left that could settle it. */
  settle<T>(promise: Promise<T>): Promise<T> {
    return this.#world.time.settle(promise);
  }

  /** Adds a line to the trace. */
  note(text: string): void {
    this.#trace.add(`${this.now.toFixed(3)} ${text}`);
  }

  /**
   * Power off. Timers never fire, promises never settle, the disk keeps what was synced; with
   * `torn` also a part, drawn at random, of the names and bytes that were not; with `garbage` those
   * bytes may have holes and turned bits in them; `leftover` chooses the part instead. Peers see
   * their connections end; with `silent` they see nothing, until they send something to the host
   * that is up again.
   */
  crash(name: string, options: CrashOptions = {}): void {
    const machine = this.#machine(name);
    if (machine.boot === undefined && machine.programs.size === 0) return;
    const { silent = false, garbage = false, torn = garbage, leftover = "nothing" } = options;
    this.note(`${name} crashes`);
    const boot = machine.end();
    machine.silent = silent;
    machine.lastPid = FIRST_PID;
    for (const program of machine.programs) program.vanish();
    if (boot !== undefined) this.#network.crash(boot, { silent });
    machine.disk.crash(torn ? { random: this.#world.random, garbage } : leftover);
  }

  /**
   * Gives a machine that is off a copy of another one's disk, as a power cut would leave it at this
   * moment. The other one goes on.
   */
  copyDisk(from: string, to: string, leftover: Leftover): void {
    invariant(this.#machine(to).boot === undefined, "a machine that runs keeps its disk");
    this.#machine(to).disk.root = this.#machine(from).disk.after(leftover);
  }

  /**
   * What the process on this host was asked for; a rejection, once that process has ended, because
   * its own promises never settle then.
   */
  whileUp<T>(name: string, work: Promise<T>): Promise<T> {
    const { boot } = this.#machine(name);
    const ended = new Promise<never>((_, reject) => {
      const end = (): void => reject(new Error(`the process on ${name} has ended`));
      if (boot === undefined) end();
      else boot.onEnd.push(end);
    });
    return Promise.race([work, ended]);
  }

  /**
   * `kill -9` of the process; the machine lives on. Written bytes stay, synced or not. The kernel
   * ends the connections, and a reaper the programs, within 20 ms. `host` then starts a new
   * process.
   */
  kill(name: string): void {
    const machine = this.#machine(name);
    const boot = machine.end();
    if (boot === undefined) return;
    this.note(`${name} killed`);
    this.#network.kill(boot);
    reap(this.#world, machine);
  }

  /**
   * SIGSTOP: the process does nothing until `resume`. Its kernel takes bytes and connections for
   * it; its programs run.
   */
  pause(name: string): void {
    const machine = this.#machine(name);
    if (machine.boot === undefined || machine.paused) return;
    this.note(`${name} stopped`);
    machine.paused = true;
  }

  /** SIGCONT: all that came due meanwhile happens now, in that order. */
  resume(name: string): void {
    const machine = this.#machine(name);
    const { boot } = machine;
    if (boot === undefined || !machine.paused) return;
    this.note(`${name} continues`);
    machine.resume((fn) => this.#world.after(boot, 0, fn));
    this.#world.after(boot, 0, () => this.#network.wake(boot));
  }

  /** The clock of a machine, to set it wrong. Outlives its processes. */
  clock(name: string): Pick<MachineClock, "drift" | "jumpWall"> {
    return this.#machine(name).clock;
  }

  /**
   * The disk of a machine, to look at it and to damage it. Ordered failures outlive its processes.
   */
  disk(name: string): Omit<DiskFaults, "take" | "room"> {
    return this.#faultsOf(name);
  }

  /** The way between two hosts. */
  link(a: string, b: string): Pick<Link, "latency" | "stall" | "oneByte" | "reset"> {
    return this.#network.link(a, b);
  }

  /** Programs that run, on one host or on all, in the order of their starts. */
  programs(name?: string): LiveProgram[] {
    const machines = name === undefined ? [...this.#machines.values()] : [this.#machine(name)];
    return machines.flatMap((machine) => [...machine.programs].map((program) => program.seen!));
  }

  /** Called when a program starts and when it ends, in that moment. */
  onProgram(listener: (what: "start" | "end", program: LiveProgram) => void): void {
    this.#programListeners.push(listener);
  }

  /**
   * Called after a sync made a file's bytes durable, or a folder's names (`path` ends in "/"),
   * before its caller is told.
   */
  onSync(listener: (host: string, path: string) => void): void {
    this.#syncListeners.push(listener);
  }

  /**
   * Called before each operation on a disk. A listener that ends the host here ends it at that very
   * `await`.
   */
  onDisk(listener: (host: string, operation: string, path: string) => void): void {
    this.#diskListeners.push(listener);
  }

  /** Breaks all connections between two hosts; both sides see ECONNRESET. New ones may be made. */
  cut(a: string, b: string): void {
    this.note(`${a} x ${b}`);
    this.#network.cut(a, b);
  }

  /**
   * Silence: nothing that `from` sends reaches `to`, until `release`. Connections stay, as those of
   * TCP would for minutes.
   */
  hold(from: string, to: string): void {
    this.note(`${from} | ${to}`);
    this.#network.hold(from, to);
  }

  /** Ends a silence: the held bytes arrive, in order. */
  release(from: string, to: string): void {
    this.note(`${from} > ${to}`);
    this.#network.release(from, to);
  }

  #makeWorld(options: SimOptions): World {
    const time = new VirtualTime();
    const random = seededRandom(options.seed);
    const at: World["at"] = (ms, fn) => time.timers.after(ms, () => {
      this.#events++;
      fn();
    });
    return {
      time,
      random,
      chance: seededRandom(options.seed ^ crc32("faults")),
      options: {
        seed: options.seed,
        latencyMs: options.latencyMs ?? [0.1, 2],
        splitChunks: options.splitChunks ?? false,
        syncMs: options.syncMs ?? [0.2, 1],
        program: options.program,
      },
      note: (text) => this.note(text),
      at,
      after: (boot, ms, fn) => at(ms, () => boot.machine.enter(boot, fn)),
      timer: (boot, ms, fn) => boot.machine.clock.timer(ms, () => boot.machine.enter(boot, fn)),
      between: ([least, most], from = random) => least + from.unit() * (most - least),
      isSilent: (host) => this.#machines.get(host)?.silent === true,
      program: (what, program) => {
        for (const listener of this.#programListeners) listener(what, program);
      },
    };
  }

  #machine(name: string): Machine {
    let machine = this.#machines.get(name);
    if (machine === undefined) {
      machine = new Machine(name, {
        disk: new DiskImage(),
        clock: new MachineClock(this.#world.time, this.#world.at),
      });
      this.#machines.set(name, machine);
    }
    return machine;
  }

  #faultsOf(name: string): DiskFaults {
    let faults = this.#faults.get(name);
    if (faults === undefined) {
      this.#faults.set(name, (faults = new DiskFaults(this.#machine(name).disk)));
    }
    return faults;
  }

  #boot(boot: Boot, life: number): WorkerHost {
    const world = this.#world;
    return {
      clock: {
        monotonic: () => boot.machine.clock.monotonic(),
        wall: () => boot.machine.clock.wall(),
      },
      timers: {
        after: (ms, fn) => this.#timer(boot, ms, fn),
        soon: (fn) => void world.after(boot, 0, fn),
      },
      // A stream of its own: one more draw in one host must not change the draws of all others.
      random: seededRandom(
        this.#seed ^ crc32(this.#freshChance && life > 0 ? `${boot.name} ${life}` : boot.name),
      ),
      network: this.#network.of(boot),
      storage: this.#storageOf(boot),
      processes: processesOf(world, boot),
    };
  }

  /**
   * A timer that the process itself has armed, and has to cancel if it does not want it any more.
   */
  #timer(boot: Boot, ms: number, fn: () => void): Timer {
    const held: Held = { kind: "timer", what: boot.machine.clock.monotonic() + ms };
    boot.held.add(held);
    const timer = this.#world.timer(boot, ms, () => {
      boot.held.delete(held);
      fn();
    });
    return {
      cancel: () => {
        boot.held.delete(held);
        timer.cancel();
      },
    };
  }

  #storageOf(boot: Boot): Storage {
    const { name, machine } = boot;
    return new FaultyStorage(new SimStorage(machine.disk, { world: this.#world, boot }), {
      boot,
      faults: this.#faultsOf(name),
      chance: this.#world.chance,
      before: (operation, path) => {
        for (const listener of this.#diskListeners) listener(name, operation, path);
      },
      turn: () => synced(this.#world, boot),
      synced: (path) => {
        for (const listener of this.#syncListeners) listener(name, path);
      },
    });
  }
}
