/** The world: what hosts share, and what can be done to them. */
import { crc32 } from "node:zlib";
import { seededRandom, VirtualTime, type Host, type Random } from "#host";
import { SimDisk, diskOf } from "./disk.ts";
import { SimNetwork } from "./network.ts";
import { processesOf, type SimProgram } from "./processes.ts";

export interface SimOptions {
  /** An integer. Print it when a test fails: it is the whole failure. */
  readonly seed: number;
  /** Shortest and longest way of a chunk between two hosts, drawn anew for each. Default 0.1 to 2 ms. */
  readonly latencyMs?: readonly [least: number, most: number];
  /** Cuts every write at random places, as a network may. Default false. */
  readonly splitChunks?: boolean;
  /** Shortest and longest sync of a disk. Default 0.2 to 1 ms. */
  readonly syncMs?: readonly [least: number, most: number];
  /** What `processes.spawn` runs. Default: a program that exits 0 after 1 ms. */
  readonly program?: SimProgram;
}

/** One life of a host, from boot to crash. Everything it arms dies with it. */
export interface Boot {
  readonly name: string;
  dead: boolean;
}

/** What the parts of the world need of it. */
export interface World {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly options: Required<Omit<SimOptions, "program">> & { readonly program: SimProgram | undefined };
  note(text: string): void;
  /** Like a timer, for a host that may be dead by then. */
  after(boot: Boot, ms: number, fn: () => void): { cancel(): void };
  /** A number in a range, drawn from the world's chance. */
  draw(range: readonly [number, number]): number;
}

/**
 * A simulated machine room. Hosts are made by name; only `run` and `settle` let time pass.
 *
 * @example
 * ```ts
 * import { SimWorld } from "#sim";
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
  /** What happened, one line each: `<ms> <what>`. */
  readonly trace: string[] = [];
  readonly #world: World;
  readonly #network: SimNetwork;
  readonly #hosts = new Map<string, { boot: Boot; host: Host }>();
  readonly #disks = new Map<string, SimDisk>();
  readonly #seed: number;

  constructor(options: SimOptions) {
    this.#seed = options.seed;
    const time = new VirtualTime();
    const random = seededRandom(options.seed);
    this.#world = {
      time,
      random,
      options: {
        seed: options.seed,
        latencyMs: options.latencyMs ?? [0.1, 2],
        splitChunks: options.splitChunks ?? false,
        syncMs: options.syncMs ?? [0.2, 1],
        program: options.program,
      },
      note: (text) => this.note(text),
      after: (boot, ms, fn) => time.timers.after(ms, () => { if (!boot.dead) fn(); }),
      draw: ([least, most]) => least + random.unit() * (most - least),
    };
    this.#network = new SimNetwork(this.#world);
  }

  /** Milliseconds since the world began. */
  get now(): number {
    return this.#world.time.now;
  }

  /** The host of that name, booted if it is not running. After a crash: a new one, on what the disk kept. */
  host(name: string): Host {
    const known = this.#hosts.get(name);
    if (known !== undefined) return known.host;
    const boot: Boot = { name, dead: false };
    const host = this.#boot(boot);
    this.#hosts.set(name, { boot, host });
    return host;
  }

  /** Drains events in time order, up to `untilMs`; by default until nothing is left to happen. */
  run(untilMs?: number): Promise<void> {
    return this.#world.time.run(untilMs);
  }

  /** Runs until the promise settles; rejects when nothing is left that could settle it. */
  settle<T>(promise: Promise<T>): Promise<T> {
    return this.#world.time.settle(promise);
  }

  /** Adds a line to the trace. */
  note(text: string): void {
    this.trace.push(`${this.now.toFixed(3)} ${text}`);
  }

  /**
   * Power off. Timers never fire, promises never settle, the disk keeps what was synced; with `torn` also a part, drawn at
   * random, of what was appended after that. Peers see their connections end.
   */
  crash(name: string, options: { torn?: boolean } = {}): void {
    const known = this.#hosts.get(name);
    if (known === undefined) return;
    this.note(`${name} crashes`);
    known.boot.dead = true;
    this.#hosts.delete(name);
    this.#network.crash(known.boot);
    this.#disks.get(name)?.crash(options.torn === true ? this.#world.random : undefined);
  }

  /** Breaks all connections between two hosts; both sides see ECONNRESET. New ones may be made. */
  cut(a: string, b: string): void {
    this.note(`${a} x ${b}`);
    this.#network.cut(a, b);
  }

  /** Silence: nothing that `from` sends reaches `to`, until `release`. Connections stay, as TCP's would for minutes. */
  hold(from: string, to: string): void {
    this.note(`${from} | ${to}`);
    this.#network.hold(from, to);
  }

  /** Ends a silence: what was held arrives, in order. */
  release(from: string, to: string): void {
    this.note(`${from} > ${to}`);
    this.#network.release(from, to);
  }

  #boot(boot: Boot): Host {
    const { time } = this.#world;
    let disk = this.#disks.get(boot.name);
    if (disk === undefined) this.#disks.set(boot.name, (disk = new SimDisk()));
    return {
      clock: time.clock,
      timers: {
        after: (ms, fn) => this.#world.after(boot, ms, fn),
        soon: (fn) => void this.#world.after(boot, 0, fn),
      },
      // Of its own: one more draw in one host must not change what all others draw.
      random: seededRandom(this.#seed ^ crc32(boot.name)),
      network: this.#network.of(boot),
      storage: diskOf(disk, { world: this.#world, boot }),
      processes: processesOf(this.#world, boot),
    };
  }
}
